"""Requests that come back because their pods end."""

from smallmodel_operator.gateway.activate import returns
from smallmodel_operator.gateway.activate.returns import MOST, Returns, Sending

BOT = "support/bot"


def test_let_go_a_few_times_and_no_more() -> None:
    known = Returns()
    for n in range(MOST):
        sending = Sending("r", 1 + 2 * n)
        assert not known.too_many(BOT, sending, 0.0)
        known.let_go(BOT, sending, 0.0)
    assert known.too_many(BOT, Sending("r", 9), 0.0)
    assert not known.too_many("support/other", Sending("r", 9), 0.0), "of another model"
    assert not known.too_many(BOT, Sending("s", 9), 0.0), "another request"
    assert not known.too_many(BOT, Sending("r", 1), 0.0), "another request, of the same identifier"
    assert not known.too_many(BOT, Sending("r", 9), 2 * returns.SECONDS), "long ago"


def test_a_request_without_an_identifier_is_never_told_apart() -> None:
    known = Returns()
    for n in range(5):
        known.let_go(BOT, Sending("", n), 0.0)
    assert len(known) == 0
    assert not known.too_many(BOT, Sending("", 9), 0.0)


def test_what_is_remembered_is_bounded() -> None:
    known = Returns()
    for n in range(returns.KEPT + 500):
        known.let_go(BOT, Sending(str(n), 1), n / 1000)
    assert len(known) == returns.KEPT
    for n in range(20):
        known.let_go(BOT, Sending(f"late {n}", 1), 10 * returns.SECONDS)
    assert len(known) == returns.KEPT, "one out for each that comes"
