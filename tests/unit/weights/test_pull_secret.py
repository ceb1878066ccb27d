"""Which entry of which pull secret counts, as the kubelet reads them."""

import base64
import json
from typing import Any

import pytest

from smallmodel_operator.weights.image import Name
from smallmodel_operator.weights.pull_secret import IdentityToken, login

BOT = Name("r.test:5000", "team/bot", "v1")
HUB = Name("docker.io", "ai/bot", "v1")


def secret(**entries: Any) -> str:
    return json.dumps({"auths": entries})


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    "key", ["r.test:5000", "https://r.test:5000/v1/", "r.test:5000/v2/", "r.test:5000/team", "*.test:5000"]
)
def test_an_entry_fits_by_host_and_path(key: str) -> None:
    assert login([secret(**{key: auth("me:pass:word")})], BOT) == ("me", "pass:word")


@pytest.mark.parametrize("key", ["r.test", "x.r.test:5000", "r.test:5000/tea", "r.test:5000/other", "*.x.test:5000"])
def test_another_hosts_or_paths_login_is_not_shown(key: str) -> None:
    assert login([secret(**{key: auth("me:pw")})], BOT) is None


def test_the_longest_path_counts_wherever_it_stands() -> None:
    first = secret(**{"r.test:5000": auth("a:a"), "r.test:5000/team/bot": {"username": "b", "password": "b"}})
    assert login([secret(**{"r.test:5000/team": auth("c:c")}), first], BOT) == ("b", "b")


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"])
def test_docker_hub_has_several_names(key: str) -> None:
    assert login([secret(**{key: auth("me:pw")})], HUB) == ("me", "pw")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"auths": 7}',
        '{"auths": {"r.test:5000": 7}}',
        secret(**{"r.test:5000": {"auth": "!"}}),
        "[" * 9999,
    ],
)
def test_nonsense_is_no_login(text: str) -> None:
    assert login([text], BOT) is None
    assert login([text, secret(**{"r.test:5000": auth("me:pw")})], BOT) == ("me", "pw")


def test_an_identity_token_alone_is_said() -> None:
    with pytest.raises(IdentityToken):
        login([secret(**{"r.test:5000": {"auth": "bWU6", "identitytoken": "x"}})], BOT)
