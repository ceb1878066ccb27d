"""ServiceAccount tokens at the door of a real Envoy."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.running import Gateway
from tests.gateway.states import SUPPORT, model, state_of
from tests.gateway.tokens import Signer

CHAT = "/support/v1/chat/completions"
ASK = {"model": "bot"}


@pytest.fixture(scope="module")
def signer(folder: Path) -> Signer:
    return Signer(folder)


@pytest.fixture(scope="module")
def guarded(folder: Path, bot: Engine, signer: Signer) -> Iterator[Gateway]:
    """support/bot: its own namespace, and the ServiceAccount bot of crm."""
    models = (model("support/bot", allow=("sa:crm/bot",)),)
    state = state_of(models, {"support/bot": bot.port}, issuer=signer.issuer)
    with Gateway(folder / "t", state) as running:
        yield running


@pytest.mark.parametrize(
    ("account", "status"), [("support/app", 200), ("crm/bot", 200), ("crm/other", 403), ("other/bot", 403)]
)
def test_accounts(guarded: Gateway, signer: Signer, account: str, status: int) -> None:
    answer = guarded.post(CHAT, ASK, signer.token(account))
    assert answer.status == status, answer
    (line,) = guarded.log(answer.headers["x-request-id"])
    assert account in str(line)


def test_the_token_stays_here(guarded: Gateway, signer: Signer, bot: Engine) -> None:
    token = signer.token()
    assert guarded.post(CHAT, ASK, token).status == 200
    assert token not in str(bot.asked[-1].headers)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": ["https://kubernetes.default.svc.cluster.local"]}, "Audiences in Jwt are not allowed"),
        ({"aud": None}, "Audiences in Jwt are not allowed"),
        ({"exp": int(time.time()) - 600}, "Jwt is expired"),
        ({"exp": None}, "verification fails"),
        ({"iss": "https://elsewhere.example.com"}, "Jwt issuer is not configured"),
        ({"sub": "system:node:one"}, "not one of a ServiceAccount"),
        ({"sub": None}, "not one of a ServiceAccount"),
    ],
)
def test_other_tokens(guarded: Gateway, signer: Signer, bot: Engine, claims: dict[str, Any], said: str) -> None:
    before = len(bot.asked)
    answer = guarded.post(CHAT, ASK, signer.token(**claims))
    assert answer.status == 401
    assert said in answer.error["message"], answer
    assert len(bot.asked) == before


def test_signed_by_another(guarded: Gateway, folder: Path) -> None:
    answer = guarded.post(CHAT, ASK, Signer(folder, "two").token())
    assert (answer.status, answer.headers["x-slm-cause"]) == (401, "bad-token")


def test_unsigned_and_cut(guarded: Gateway, signer: Signer) -> None:
    head, payload, _ = signer.token().split(".")
    none = "eyJhbGciOiJub25lIn0"
    for token in (f"{head}.{payload}.", f"{none}.{payload}.", f"{none}.{payload}.AA", f"{head}.{payload}.AAAA"):
        assert guarded.post(CHAT, ASK, token).status == 401, token


def test_keys_work_beside_tokens(guarded: Gateway, signer: Signer) -> None:
    assert guarded.post(CHAT, ASK, SUPPORT).status == 200
    answer = guarded.request("POST", CHAT, ASK, {"authorization": f"bearer {SUPPORT}"})
    assert answer.status == 200


def test_a_limit_set_later_holds(guarded: Gateway) -> None:
    before = guarded.state
    (bot,) = before.models.values()
    assert guarded.post(CHAT, ASK, SUPPORT).status == 200
    limited = replace(bot, access=replace(bot.access, requests_per_minute=1))
    guarded.apply(replace(before, models={bot.target: limited}))
    assert [guarded.post(CHAT, ASK, SUPPORT).status for _ in range(2)] == [200, 429]
    guarded.apply(before)
    assert [guarded.post(CHAT, ASK, SUPPORT).status for _ in range(2)] == [200, 200]


def test_new_signing_keys(guarded: Gateway, signer: Signer, folder: Path) -> None:
    other = Signer(folder, "three")
    before = guarded.state
    guarded.apply(replace(before, issuer=other.issuer))
    assert guarded.post(CHAT, ASK, other.token()).status == 200
    assert guarded.post(CHAT, ASK, signer.token()).status == 401
    guarded.apply(before)
    assert guarded.post(CHAT, ASK, signer.token()).status == 200
