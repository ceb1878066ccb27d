"""`slm audit match` and `slm audit key`, as people run them: with a key from a file, and with the cluster's."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import ANY

import pytest
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.chain import Fixture
from typer.testing import CliRunner, Result

from smallmodel_operator.api.names import SYSTEM_NAMESPACE
from smallmodel_operator.audit.request import FIELD, RequestKey
from smallmodel_operator.cli.app import app
from smallmodel_operator.cli.audit_match import export_key, match

MASTER = b"m" * 32
KEY = RequestKey.made(MASTER, "support", 3)
BODY = b'{"model":"bot"}'
STAMP = f"{KEY.name}:{hmac.new(KEY.key, BODY, hashlib.sha256).hexdigest()}"


@pytest.fixture
def made(tmp_path: Path) -> Fixture:
    """Requests 1 to 12 with an HMAC, 13 without."""
    (tmp_path / "gateway-0").mkdir()
    found = Fixture(tmp_path / "gateway-0")
    found.answer(12, **{FIELD: STAMP})
    found.answer(1)
    found.read()
    found.stop()
    (tmp_path / "sent").write_bytes(BODY)
    (tmp_path / "other").write_bytes(BODY + b"\n")
    (tmp_path / "key").write_text(KEY.dump())
    return found


def run(*arguments: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, arguments)], input=stdin)


def secret(api: FakeApiServer, data: Mapping[str, bytes]) -> None:
    meta = {"name": "smallmodel-gateway-keys", "namespace": "smallmodel-system"}
    value = {name: base64.b64encode(text).decode() for name, text in data.items()}
    api.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": value})


def test_offline_with_a_key_somebody_exported(made: Fixture, tmp_path: Path) -> None:
    key = ("--key-file", tmp_path / "key")
    for body, code, word in (("sent", 0, "match"), ("other", 1, "no-match")):
        done = run("match", "request-7", tmp_path, "--body", tmp_path / body, *key)
        assert (done.exit_code, f": {word}: " in done.output) == (code, True), done.output
        value = json.loads(run("match", "request-7", tmp_path, "--body", tmp_path / body, *key, "-o", "json").output)
        assert (value["verdict"], value["records"][0]["target"]) == (word, "support/bot")
    assert run("match", "request-7", tmp_path, "--body", "-", *key, stdin=BODY).exit_code == 0


def test_what_cannot_be_told(made: Fixture, tmp_path: Path) -> None:
    key, body = ("--key-file", tmp_path / "key"), ("--body", tmp_path / "sent")
    for words, said in (
        (("request-13", tmp_path, *body, *key), "no HMAC"),
        (("request-99", tmp_path, *body, *key), "no record of request"),
        (("request-", tmp_path, *body, *key), "13 requests begin with"),
        (("request-7", tmp_path / "gone", *body, *key), "does not exist"),
        (("request-7", tmp_path, "--body", tmp_path / "gone", *key), "cannot be read"),
        (("request-7", tmp_path, *body, "--key-file", tmp_path / "gone"), "cannot be read"),
        (("request-7", tmp_path, *body, "--key-file", tmp_path / "sent"), "not what `slm audit key` prints"),
    ):
        done = run("match", *words)
        assert (done.exit_code, said in done.output) == (2, True), done.output


async def test_with_the_key_of_the_cluster(
    made: Fixture, tmp_path: Path, connected: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async def asked(body: str, request: str = "request-7") -> tuple[int, str]:
        code = await match(request, [str(tmp_path)], str(tmp_path / body), [], SYSTEM_NAMESPACE, "text")
        said = capsys.readouterr()
        return code, said.out + " ".join(said.err.split())

    assert await asked("sent", "request-13") == (2, ANY)
    assert connected.sent == []  # asked only where a key is needed
    code, said = await asked("sent")
    assert (code, "smallmodel-gateway-keys of namespace smallmodel-system does not exist" in said) == (2, True), said
    connected.refuse("GET", "/secrets/", 403, "Forbidden", "you cannot get resource secrets")
    code, said = await asked("sent")
    assert (code, "you cannot get" in said, "slm audit key" in said) == (2, True, True), said
    connected.heal()
    secret(connected, {})
    code, said = await asked("sent")
    assert (code, "has no entry 'engine-master'" in said) == (2, True), said
    secret(connected, {"engine-master": MASTER})
    assert (await asked("sent"))[0] == 0
    assert (await asked("other"))[0] == 1
    secret(connected, {"engine-master": b"n" * 32})  # made anew, or another cluster
    code, said = await asked("sent")
    assert (code, f"key {KEY.name}, which is not among" in said) == (2, True), said


async def test_a_key_for_an_auditor(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert await export_key("support", 3, SYSTEM_NAMESPACE) == 2
    assert capsys.readouterr().out == ""
    secret(connected, {"engine-master": MASTER})
    assert await export_key("support", 3, SYSTEM_NAMESPACE) == 0
    said = capsys.readouterr()
    assert RequestKey.load(said.out) == KEY
    assert "keep it as you would keep the prompts" in said.err


def test_bad_words(made: Fixture, tmp_path: Path) -> None:
    for words in (("match", "request-7", tmp_path), ("key",), ("key", "-n", "support", "--generation", "0")):
        assert run(*words).exit_code == 2
