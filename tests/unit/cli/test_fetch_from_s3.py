"""A file of a bucket, from a real S3 store that checks signatures."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from requests_aws4auth import aws4auth
from tests.fakes.bad_line import Line, stretched
from tests.fakes.gguf_file import TENSORS, build
from tests.fakes.s3_store import HIDDEN, KEY, REGION, store

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import fetch_weights, login, transfer
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.weights import result

pytestmark = pytest.mark.long
"""The store is built with Go, once."""

HEAD = build(tensors=[*TENSORS[:-1], ("output_norm.weight", (300_000,), "F32")])
FILE = HEAD[:-1_000_000] + b"".join(i.to_bytes(4) for i in range(250_000))
SHA256 = hashlib.sha256(FILE).hexdigest()
NAME = "q4/bot 1+1.gguf"


@pytest.fixture(scope="module")
def endpoint(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("store")
    file = folder / "models" / NAME
    file.parent.mkdir(parents=True)
    file.write_bytes(FILE)
    with store(keys, folder) as address:
        yield address


@dataclass
class Pod:
    """The download's pod."""

    root: Path
    pauses: list[float]

    def fetch(self, url: str, region: str = REGION, secret: str = "s3") -> tuple[int, Any]:
        edge = transfer.Edge(sleep=self.pauses.append, chance=lambda: 0.5)
        wish = fetch_weights.Download(
            url, SHA256, str(self.root / "claim"), "sha256:a", "uid-1", "", secret, str(self.root / "secret"), region
        )
        code = fetch_weights.fetch(wish, self.root / "message", edge)
        return code, result.decode((self.root / "message").read_text())

    def holds(self, **entries: str) -> None:
        (self.root / "secret").mkdir(exist_ok=True)
        for name, value in entries.items():
            (self.root / "secret" / name).write_text(value)


@pytest.fixture
def pod(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    monkeypatch.setenv("SSL_CERT_FILE", str(keys / "ca.crt"))
    monkeypatch.setenv("no_proxy", "*")
    made = Pod(tmp_path, [])
    made.holds(accessKeyId=KEY, secretAccessKey=HIDDEN)
    return made


def url(endpoint: str, name: str = "models/q4/bot%201%2B1.gguf") -> str:
    return f"{endpoint}/{name}"


def test_a_file_of_a_bucket(endpoint: str, pod: Pod) -> None:
    code, facts = pod.fetch(url(endpoint))
    assert code == result.EXIT_FOUND
    assert isinstance(facts, WeightsFacts)
    assert facts.sha256 == SHA256
    assert (pod.root / "claim" / "model.gguf").read_bytes() == FILE


def test_it_goes_on_where_it_broke_off(endpoint: str, pod: Pod) -> None:
    line = Line(int(endpoint.rpartition(":")[2]), drop_bytes=len(FILE) // 5)
    with stretched(line) as port:
        assert pod.fetch(url(f"https://127.0.0.1:{port}"))[0] == result.EXIT_FOUND
    assert (pod.root / "claim" / "model.gguf").read_bytes() == FILE
    assert line.drops >= 2
    assert line.delivered < 1.1 * len(FILE)


@pytest.mark.parametrize(
    ("entries", "region", "code", "way"),
    [
        ({"secretAccessKey": "wrong"}, REGION, "SignatureDoesNotMatch", "Correct them in the Secret"),
        ({"accessKeyId": "nobody"}, REGION, "XAdminUserNotFound", "Correct them in the Secret"),
        ({}, "elsewhere-1", "AuthorizationHeaderMalformed", "downloads.s3.region"),
    ],
)
def test_what_the_store_does_not_accept_is_named(
    endpoint: str, pod: Pod, entries: dict[str, str], region: str, code: str, way: str
) -> None:
    pod.holds(**entries)
    left, said = pod.fetch(url(endpoint), region)
    assert (left, said.reason) == (result.EXIT_REFUSED, Reason.SOURCE_UNAUTHORIZED)
    assert code in said.message
    assert way in said.message
    assert "wrong" not in said.message


def test_without_keys_a_private_bucket_is_forbidden(endpoint: str, pod: Pod) -> None:
    code, said = pod.fetch(url(endpoint), secret="")
    assert (code, said.reason) == (result.EXIT_REFUSED, Reason.SOURCE_FORBIDDEN)
    assert "AccessDenied" in said.message


@pytest.mark.parametrize(
    ("name", "what"), [("models/other.gguf", "no such file"), ("other/bot.gguf", "no such bucket")]
)
def test_what_is_not_there(endpoint: str, pod: Pod, name: str, what: str) -> None:
    code, said = pod.fetch(url(endpoint, name))
    assert (code, said.reason) == (result.EXIT_REFUSED, Reason.SOURCE_NOT_FOUND)
    assert what in said.message


def test_a_clock_that_is_wrong_is_named(endpoint: str, pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature is made with the date of a computer whose clock is an hour behind."""

    class Behind(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Behind":
            return cls.fromtimestamp(datetime.now(tz).timestamp() - 3600, tz)

    monkeypatch.setattr(aws4auth.datetime, "datetime", Behind)
    code, said = pod.fetch(url(endpoint))
    assert (code, said.reason) == (result.EXIT_REFUSED, Reason.SOURCE_UNAUTHORIZED)
    assert "clock" in said.message


def test_it_goes_on_after_hours_with_a_signature_of_now(endpoint: str, pod: Pod) -> None:
    """Each connection is signed anew: the store refuses one that is older than a quarter of an hour."""
    show = login.signed(pod.root / "secret", "s3", REGION)
    first = show(url(endpoint))["x-amz-date"]
    time.sleep(1.1)
    assert show(url(endpoint))["x-amz-date"] > first


def test_a_secret_without_keys_is_named(endpoint: str, pod: Pod) -> None:
    (pod.root / "secret" / "secretAccessKey").unlink()
    code, said = pod.fetch(url(endpoint))
    assert (code, said.reason) == (result.EXIT_REFUSED, Reason.SECRET_NOT_FOUND)
    assert "`accessKeyId` and `secretAccessKey`" in said.message
