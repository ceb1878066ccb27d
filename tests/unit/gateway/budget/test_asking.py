"""What a request needs of its route's budgets, and what is answered where they have no room."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from tests.gateway.states import model, state_of

from smallmodel_operator.budget.counter import Unit
from smallmodel_operator.budget.limit import Limit, Per
from smallmodel_operator.budget.need import Needs, Refused, Why
from smallmodel_operator.budget.price import Price, shown
from smallmodel_operator.budget.purse import key
from smallmodel_operator.budget.window import Period
from smallmodel_operator.budget.worst import TEMPLATE_TOKENS
from smallmodel_operator.gateway.budget import asking
from smallmodel_operator.gateway.budget.asking import Asking
from smallmodel_operator.gateway.budget.counting import Counting
from smallmodel_operator.gateway.decide.answer import Stays, Withheld
from smallmodel_operator.gateway.decide.service import Call
from smallmodel_operator.gateway.routed import Lead, Route
from smallmodel_operator.gateway.state import Access
from smallmodel_operator.routing.asked import Request
from smallmodel_operator.routing.policy import Target
from smallmodel_operator.routing.verdict import Because, Decision

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MONTH = Limit(Per.ROUTE, Period.MONTH, Unit.TOKENS, 9000)
TODAY = Limit(Per.CALLER, Period.DAY, Unit.REQUESTS, 5)
EUROS = Limit(Per.ROUTE, Period.MONTH, Unit.MONEY, 4 * 10**14, currency="EUR")
PRICE = Price(150_000, 600_000, "EUR")
TO_CLOUD = Decision(Target("cloud", "big-1", inside=False), Because.RULE, (), "sha256:p")
TO_BOT = Decision(Target("small", "support/bot"), Because.NAMED, (), "sha256:p")


class Counts:
    """In place of Counting: remembers what was asked, and answers when it is let."""

    def __init__(self, answer: Callable[[Needs], Refused | None] = lambda _: None) -> None:
        self.asked: list[tuple[str, Needs]] = []
        self.prices: list[Price | None] = []
        self.given_back: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._answer = answer

    async def reserve(self, request: str, needs: Needs, price: Price | None = None) -> Refused | None:
        await self.gate.wait()
        self.asked.append((request, needs))
        self.prices.append(price)
        return self._answer(needs)

    def give_back(self, request: str) -> None:
        self.given_back.append(request)


def call(request: str = "id-1", **body: Any) -> Call:
    text = json.dumps({"model": "desk", "messages": [], **body}).encode()
    return Call("support/desk", "sa:crm/app", request, Request("/v1/chat/completions", text))


def ask(counts: Counts | None, *limits: Limit, price: Price | None = PRICE) -> Asking:
    leads = (Lead("small", "support/bot", 1), Lead("cloud", "support/desk/cloud", 0, "big-1", price))
    route = Route("support", "desk", "", Access(frozenset()), leads, budgets=limits)
    state = state_of((model("support/bot", context_tokens=2048),), {}, routes={route.path: route})
    return Asking(lambda: state, lambda: cast(Counting | None, counts), lambda: NOW)


def said(withheld: Withheld | Stays | None) -> tuple[int, str, dict[str, str]]:
    """Status, message and headers."""
    assert isinstance(withheld, Withheld)
    return withheld.answer.status, json.loads(withheld.answer.body)["error"]["message"], dict(withheld.answer.headers)


async def test_a_request_that_has_room_goes_with_what_it_needs() -> None:
    counts = Counts()
    assert await ask(counts, MONTH, TODAY)(call("x" * 200), TO_BOT) is None
    ((request, needs),) = counts.asked
    assert request == key("x" * 128, "support/desk/small"), "the log has no more of it"
    found = {(c.unit, c.caller, c.window.name): (a.amount, a.limit) for c, a in needs.items()}
    assert found == {
        (Unit.TOKENS, "", "2026-11"): (2048, 9000),
        (Unit.REQUESTS, "sa:crm/app", "2026-11-22"): (1, 5),
    }


async def test_a_route_without_budgets_asks_nobody() -> None:
    assert await ask(None)(call(), TO_BOT) is None


@pytest.mark.parametrize(
    ("why", "limit", "words", "retry", "again"),
    [
        (Why.EXHAUSTED, MONTH, "The budget of 9000 tokens of route support/desk for 2026-11", "734400", "false"),
        (Why.EXHAUSTED, TODAY, "Your budget of 5 requests", "43200", "false"),
        (Why.RESERVED, MONTH, "held for requests that are under way. Try again.", "1", None),
        (Why.TOO_LARGE, MONTH, "may need 2048 tokens, and the budget of route support/desk", None, "false"),
    ],
)
async def test_a_refusal_says_what_is_the_matter_and_when_it_will_not_be(
    why: Why, limit: Limit, words: str, retry: str | None, again: str | None
) -> None:
    refused = Refused(why, limit.counter("support/desk", "sa:crm/app", NOW), limit.most)
    withheld = await ask(Counts(lambda _: refused), MONTH, TODAY)(call(), TO_BOT)
    status, message, headers = said(withheld)
    assert status == 429
    assert words in message
    assert (headers.get("retry-after"), headers.get("x-should-retry")) == (retry, again)
    assert isinstance(withheld, Withheld)
    assert withheld.said == {"slm.decision.budget": why.value, "slm.decision.limit": limit.name}


async def test_what_cannot_be_counted_does_not_go() -> None:
    for counts in (None, Counts(lambda _: Refused(Why.UNREACHABLE)), Counts(lambda _: Refused(Why.NOT_KEPT))):
        status, message, headers = said(await ask(counts, TODAY)(call(), TO_BOT))
        assert (status, headers["x-slm-cause"], headers["retry-after"]) == (429, "budget-unknown", "1")
        assert "cannot be counted" in message


async def test_a_body_that_cannot_be_read_is_refused_where_tokens_count() -> None:
    torn = Call("support/desk", "sa:crm/app", "id", Request("/v1/chat/completions", b'{"n":', whole=False))
    counts = Counts()
    status, _, _ = said(await ask(counts, MONTH)(torn, TO_BOT))
    assert (status, counts.asked) == (400, [])
    assert await ask(counts, TODAY)(torn, TO_BOT) is None


async def test_what_leaves_has_to_say_how_much_it_may_use() -> None:
    outside = Decision(Target("cloud", "big-1", inside=False), Because.RULE, (), "sha256:p")
    counts = Counts()
    status, message, _ = said(await ask(counts, MONTH)(call(), outside))
    assert (status, counts.asked) == (400, [])
    assert "Say how much with max_tokens (/v1/responses: max_output_tokens), and n" in message
    assert await ask(counts, MONTH)(call(max_tokens=9), outside) is None
    assert counts.asked[0][0] == key("id-1", "support/desk/cloud")
    assert await ask(counts, TODAY)(call(), outside) is None


@pytest.mark.parametrize("why", [Why.EXHAUSTED, Why.RESERVED, Why.TOO_LARGE, Why.UNREACHABLE])
async def test_a_limit_of_what_leaves_refuses_nothing_that_stays(why: Why) -> None:
    local = replace(MONTH, local=True)
    counter = local.counter("support/desk", "", NOW)
    found = Refused(why, None if why is Why.UNREACHABLE else counter, local.most)
    counts = Counts(lambda needs: found if counter in needs else None)
    outside = Decision(Target("cloud", "big-1", inside=False), Because.RULE, (), "sha256:p")
    reason = "BudgetUnknown" if why is Why.UNREACHABLE else "BudgetExhausted"
    assert await ask(counts, local)(call(max_tokens=5), outside) == Stays(reason)
    assert await ask(counts, local)(call(), TO_BOT) is None
    counts.asked.clear()
    if why is not Why.UNREACHABLE:
        assert await ask(counts, local, TODAY)(call(), TO_BOT) is None
        assert [{c.unit for c in needs} for _, needs in counts.asked] == [
            {Unit.TOKENS, Unit.REQUESTS}, {Unit.REQUESTS},
        ], "the other one counts"  # fmt: skip


async def test_a_limit_of_everything_refuses_beside_one_of_what_leaves() -> None:
    local, counter = replace(MONTH, local=True), TODAY.counter("support/desk", "sa:crm/app", NOW)
    for found in (Refused(Why.EXHAUSTED, counter, TODAY.most), Refused(Why.UNREACHABLE)):
        counts = Counts(lambda _, found=found: found)
        assert said(await ask(counts, local, TODAY)(call(), TO_BOT))[0] == 429


async def test_who_waits_too_long_is_refused_and_what_comes_then_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "WAIT_SECONDS", 0.01)
    counts = Counts()
    counts.gate.clear()
    assert said(await ask(counts, TODAY)(call(), TO_BOT))[0] == 429
    gone = asyncio.create_task(ask(counts, TODAY)(call("id-2"), TO_BOT))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert counts.given_back == []
    counts.gate.set()
    while len(counts.given_back) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert counts.given_back == [key("id-1", "support/desk/small"), key("id-2", "support/desk/small")]


async def test_money_is_held_for_what_leaves_by_the_price_of_its_target() -> None:
    counts, body = Counts(), call(max_tokens=50)
    assert await ask(counts, EUROS)(body, TO_CLOUD) is None
    (((_, needs),), prices) = counts.asked, counts.prices
    prompt = len(body.request.body) + TEMPLATE_TOKENS
    assert [(c.unit, c.currency, a.amount) for c, a in needs.items()] == [
        (Unit.MONEY, "EUR", prompt * 150_000 + 50 * 600_000)
    ]
    assert prices == [PRICE]


async def test_what_stays_costs_nothing() -> None:
    counts = Counts(lambda _: Refused(Why.EXHAUSTED))
    assert await ask(counts, EUROS)(call(), TO_BOT) is None
    assert not counts.asked, "nobody is asked"
    counts = Counts()
    assert await ask(counts, EUROS, TODAY)(call(), TO_BOT) is None
    assert [
        ({c.unit for c in needs}, price) for (_, needs), price in zip(counts.asked, counts.prices, strict=True)
    ] == [({Unit.REQUESTS}, None)]


async def test_money_needs_a_bound_and_a_price() -> None:
    counts = Counts()
    status, message, _ = said(await ask(counts, EUROS)(call(), TO_CLOUD))
    assert (status, counts.asked) == (400, [])
    assert "budget of money" in message
    assert "max_tokens" in message
    for limit in (EUROS, MONTH):
        assert await ask(counts, replace(limit, local=True))(call(), TO_CLOUD) == Stays("BudgetUnknown")
    for price in (None, Price(150_000, 600_000, "USD")):
        withheld = await ask(counts, EUROS, price=price)(call(max_tokens=5), TO_CLOUD)
        assert said(withheld)[0] == 429
        assert isinstance(withheld, Withheld)
        assert withheld.said == {"slm.decision.budget": "Unpriced"}
        local = ask(counts, replace(EUROS, local=True), price=price)
        assert await local(call(max_tokens=5), TO_CLOUD) == Stays("BudgetUnknown")
    assert not counts.asked, "nothing is held for what does not go"


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (Why.EXHAUSTED, "The budget of 400.00 EUR of route support/desk for 2026-11 is used up"),
        (
            Why.TOO_LARGE,
            "This request may need {most}, and the budget of route support/desk for 2026-11 is 400.00 EUR.",
        ),
    ],
)
async def test_money_is_said_with_its_currency(why: Why, words: str) -> None:
    body = call(max_tokens=5)
    most = shown(PRICE.of(len(body.request.body) + TEMPLATE_TOKENS, 5), "EUR")
    refused = Refused(why, EUROS.counter("support/desk", "", NOW), EUROS.most)
    assert words.format(most=most) in said(await ask(Counts(lambda _: refused), EUROS)(body, TO_CLOUD))[1]
    local = ask(Counts(lambda _: refused), replace(EUROS, local=True))
    assert await local(body, TO_CLOUD) == Stays("BudgetExhausted")
