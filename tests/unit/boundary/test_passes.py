"""A pass lets one request out once, and nothing else does."""

from dataclasses import replace

import pytest

from smallmodel_operator.boundary import passes
from smallmodel_operator.boundary.passes import LEAD_MS, LIFE_MS, WINDOW_MS, Gate, Pass, Refused, Sent, Signer, Why
from smallmodel_operator.core.keys import audit_seed, egress_seed

MASTER = b"m" * 32
SIGNER = Signer(egress_seed(MASTER))
BEGAN = 1_700_000_000_000
NOW = BEGAN + 60_000
BODY = b'{"model":"big-1","messages":[]}'
SENT = Sent("0b6c", "support/assistant/cloud", BODY)
GIVEN = Pass(SENT.id, SENT.target, "sha256:" + "ab" * 32, passes.sha256(BODY), NOW)


def gate(**more: int) -> Gate:
    return Gate([SIGNER.public], BEGAN, **more)


def why(at: Gate, text: str, sent: Sent = SENT, now: int = NOW) -> Why | None:
    """None: it passed."""
    try:
        at.check(text, sent, now)
    except Refused as refused:
        return refused.why
    return None


def test_what_is_signed_passes_once() -> None:
    at = gate()
    assert at.check(SIGNER.sign(GIVEN), SENT, NOW) == GIVEN
    assert why(at, SIGNER.sign(GIVEN)) is Why.USED
    assert why(at, SIGNER.sign(replace(GIVEN, issued=NOW + 1))) is Why.USED, "another pass of the same request"
    assert why(at, SIGNER.sign(replace(GIVEN, id="other")), replace(SENT, id="other")) is None


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (replace(SENT, id="0b6d"), Why.OTHER_REQUEST),
        (replace(SENT, target="support/assistant/other"), Why.OTHER_TARGET),
        (replace(SENT, body=BODY + b" "), Why.OTHER_BODY),
        (replace(SENT, body=b""), Why.OTHER_BODY),
    ],
)
def test_it_is_of_one_request_for_one_target_with_one_body(sent: Sent, said: Why) -> None:
    at = gate()
    assert why(at, SIGNER.sign(GIVEN), sent) is said
    assert why(at, SIGNER.sign(GIVEN)) is None, "a refusal uses nothing up"


def test_only_the_agents_key_counts() -> None:
    other = Signer(audit_seed(MASTER, "gateway-0"))
    assert why(gate(), other.sign(GIVEN)) is Why.UNSIGNED
    both = Gate([other.public, SIGNER.public], BEGAN)
    assert why(both, SIGNER.sign(GIVEN)) is None
    assert why(both, other.sign(replace(GIVEN, id="two")), replace(SENT, id="two")) is None


@pytest.mark.parametrize("text", ["x", "é", "A" * 10_000, SIGNER.sign(GIVEN) + "A", SIGNER.sign(GIVEN) + "="])
def test_what_is_no_pass_is_refused(text: str) -> None:
    assert why(gate(), text) is Why.BROKEN


def test_none_is_refused() -> None:
    assert why(gate(), "") is Why.MISSING


def test_another_text_of_the_same_bytes_is_refused() -> None:
    """Bits beyond the last byte, and the other alphabet."""
    text = SIGNER.sign(GIVEN)
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = {text[:-1] + c for c in last} | {text.replace("-", "+").replace("_", "/")}
    assert [why(gate(), t) for t in others - {text}].count(None) == 0


def test_time() -> None:
    text = SIGNER.sign(GIVEN)
    assert why(gate(), text, now=NOW - LEAD_MS) is None
    assert why(gate(), text, now=NOW - LEAD_MS - 1) is Why.EARLY
    assert why(gate(), text, now=NOW + LIFE_MS - 1) is None
    assert why(gate(), text, now=NOW + LIFE_MS) is Why.EXPIRED
    assert WINDOW_MS == 30_000


def test_a_clock_that_goes_back_brings_no_pass_back() -> None:
    at = gate()
    assert why(at, SIGNER.sign(GIVEN)) is None
    late = replace(GIVEN, id="late", issued=NOW + WINDOW_MS)
    assert why(at, SIGNER.sign(late), replace(SENT, id="late"), NOW + WINDOW_MS) is None, "the first is forgotten"
    assert why(at, SIGNER.sign(GIVEN), now=NOW) is Why.EXPIRED


def test_what_a_gate_before_may_have_let_through_is_refused() -> None:
    at = Gate([SIGNER.public], NOW - LEAD_MS)
    assert why(at, SIGNER.sign(GIVEN)) is Why.UNSURE
    assert why(at, SIGNER.sign(replace(GIVEN, issued=NOW + 1)), now=NOW + 1) is None


def test_memory_is_bounded_and_full_is_closed() -> None:
    at = gate(most=2)
    for name in ("a", "b"):
        assert why(at, SIGNER.sign(replace(GIVEN, id=name)), replace(SENT, id=name)) is None
    assert why(at, SIGNER.sign(GIVEN)) is Why.FULL
    assert why(at, SIGNER.sign(replace(GIVEN, id="a")), replace(SENT, id="a")) is Why.USED
    later = NOW + WINDOW_MS
    assert why(at, SIGNER.sign(replace(GIVEN, issued=later)), now=later) is None
    assert len(at) == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"id": ""},
        {"id": "x" * 256},
        {"id": "é"},
        {"target": "a\nb"},
        {"policy": "ab" * 32},
        {"policy": "sha256:" + "AB" * 32},
        {"body": "ab" * 31},
        {"issued": -1},
        {"issued": 1 << 63},
    ],
)
def test_what_is_not_of_its_form_is_not_signed(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        SIGNER.sign(replace(GIVEN, **bad))  # type: ignore[arg-type]


def test_the_longest_pass_is_read() -> None:
    given = replace(GIVEN, id="i" * passes.MOST_TEXT, target="t" * passes.MOST_TEXT)
    assert why(gate(), SIGNER.sign(given), Sent(given.id, given.target, BODY)) is None


def test_no_key_is_no_gate() -> None:
    with pytest.raises(ValueError):
        Gate([], BEGAN)
    with pytest.raises(ValueError):
        Gate(["ab"], BEGAN)


def test_the_private_key_is_in_no_text() -> None:
    assert egress_seed(MASTER).hex() not in repr(SIGNER) + SIGNER.sign(GIVEN) + SIGNER.public
