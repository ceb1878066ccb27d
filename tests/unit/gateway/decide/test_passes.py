"""What leaves gets a pass; what stays gets none; without a key nothing leaves."""

import json
from dataclasses import replace

import pytest
from tests.fakes.deciding import POLICY, ROUTES, labels
from tests.unit.gateway.decide.test_service import Chain, call, target

from smallmodel_operator.boundary.passes import Gate, Sent, Signer
from smallmodel_operator.core.keys import egress_seed
from smallmodel_operator.gateway.decide.passes import Passes
from smallmodel_operator.gateway.decide.service import Deciding

MASTER = b"m" * 32
NOW = 1_700_000_000_000


def deciding(master: bytes = MASTER) -> Deciding:
    return Deciding(ROUTES.get, labels, Chain(), sign=Passes(lambda: master, lambda: NOW))


async def test_what_leaves_has_a_pass_for_its_body_and_target() -> None:
    asked = call()
    told = await deciding().decide(asked)
    assert target(told) == "cloud"
    sent = Sent("id-1", f"{POLICY.route}/cloud", asked.request.body)
    found = Gate([Signer(egress_seed(MASTER)).public], 0).check(told.headers["x-slm-pass"], sent, NOW)
    assert (found.policy, found.issued) == (ROUTES[POLICY.route].ready.hash, NOW)


async def test_it_is_for_the_body_as_it_goes_on() -> None:
    body = b'{"messages":[{"role":"user","content":"\xc3\xa9 assistant"}], "model" : "assistant" }'
    at = body.index(b'"assistant" }')
    asked = call()
    asked = replace(asked, request=replace(asked.request, body=body), place=f"{at},{at + 11}")
    told = await deciding().decide(asked)
    sent = Sent("id-1", f"{POLICY.route}/cloud", body[:at] + b'"big-1" }')
    assert Gate([Signer(egress_seed(MASTER)).public], 0).check(told.headers["x-slm-pass"], sent, NOW)


@pytest.mark.parametrize("place", ["1", "x,2", "5,5", "9,3", "-1,4", "0,9999", "1,2,3"])
async def test_without_a_place_for_the_name_in_it_nothing_leaves(place: str) -> None:
    assert (await deciding().decide(replace(call(), place=place))).status == 503


@pytest.mark.parametrize("who", ["labelled", "nobody"])
async def test_what_stays_has_none(who: str) -> None:
    told = await deciding().decide(call("DE89 3704 0044 0532 0130 00", caller=who))
    assert target(told) == "small"
    assert "x-slm-pass" not in told.headers


async def test_without_a_key_nothing_leaves_and_what_stays_is_answered() -> None:
    without = deciding(b"")
    told = await without.decide(call())
    assert (told.status, json.loads(told.body)["error"]["code"]) == (503, "unavailable")
    assert target(await without.decide(call(caller="nobody"))) == "small"


async def test_another_master_is_another_key() -> None:
    masters = [MASTER, b"n" * 32]
    sign = Passes(lambda: masters[0], lambda: NOW)
    at = Deciding(ROUTES.get, labels, Chain(), sign=sign)
    first = await at.decide(call())
    masters.pop(0)
    second = await at.decide(call())
    assert first.headers["x-slm-pass"] != second.headers["x-slm-pass"]
