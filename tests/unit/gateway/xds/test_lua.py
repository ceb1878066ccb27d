"""The Lua of the filters, in LuaJIT as Envoy runs it."""

import hashlib
import hmac
import secrets
from typing import Any

import pytest
from lupa.luajit21 import LuaRuntime

from smallmodel_operator.api.names import RESERVED_NAMES
from smallmodel_operator.gateway.state import State
from smallmodel_operator.gateway.xds.scripts import DOOR, HMAC, program, script


@pytest.fixture(scope="module")
def door() -> Any:
    lua = LuaRuntime(encoding=None)
    lua.execute(script(DOOR, State()))
    return lua.globals()


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
    ids=["empty", "abc", "two-blocks", "million"],
)
def test_sha256_vectors(door: Any, text: bytes, digest: str) -> None:
    assert door.sha256(text) == digest.encode()


def test_sha256_of_every_length(door: Any) -> None:
    for length in range(200):
        text = secrets.token_bytes(length)
        assert door.sha256(text).decode() == hashlib.sha256(text).hexdigest(), text.hex()


@pytest.fixture(scope="module")
def stamp() -> Any:
    lua = LuaRuntime(encoding=None)
    lua.execute(program(HMAC))
    return lua.globals()


@pytest.mark.parametrize(
    ("key", "text", "made"),
    [  # RFC 4231, but keys longer than a block, which ours never are
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (
            bytes(range(1, 26)),
            b"\xcd" * 50,
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
    ],
)
def test_hmac_vectors(stamp: Any, key: bytes, text: bytes, made: str) -> None:
    assert stamp.hmac_sha256(key.hex().encode(), text).decode() == made


def test_hmac_of_every_length(stamp: Any) -> None:
    for length in [*range(200), *(64 * n + d for n in (15, 16, 64, 1024) for d in (-1, 0, 1, 55, 56))]:
        key, text = secrets.token_bytes(32), secrets.token_bytes(length)
        made = stamp.hmac_sha256(key.hex().encode(), text).decode()
        assert made == hmac.new(key, text, hashlib.sha256).hexdigest(), (key.hex(), text.hex())


def test_more_keys_than_are_remembered(stamp: Any) -> None:
    keys = [secrets.token_bytes(32) for _ in range(1100)]
    for key in (*keys, *keys[:3]):
        assert stamp.hmac_sha256(key.hex().encode(), b"a").decode() == hmac.new(key, b"a", hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("bot", ("", "bot")),
        ("bot.support", ("support", "bot")),
        ("bot.support.svc", ("support", "bot")),
        ("BOT.Support.svc.cluster.local.:80", ("support", "bot")),
        ("bot.support.svc.other.domain", ("", "")),
        ("smallmodel-gateway", ("", "")),
        ("smallmodel-gateway.smallmodel-system.svc.cluster.local:80", ("", "")),
        ("10.0.0.1:10080", ("", "")),
        ("[fd00::1]:80", ("", "")),
        ("localhost:8080", ("", "")),
        ("llm.example.com", ("", "")),
        ("", ("", "")),
        (":80", ("", "")),
        ("..", ("", "")),
    ],
)
def test_addressed(door: Any, host: str, found: tuple[str, str]) -> None:
    assert tuple(part.decode() for part in door.addressed(host.encode(), b"cluster.local")) == found


@pytest.mark.parametrize("name", RESERVED_NAMES)
def test_reserved_names_are_the_gateways_in_any_namespace(door: Any, name: str) -> None:
    assert tuple(door.addressed(f"{name}.support.svc".encode(), b"cluster.local")) == (b"", b"")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v1/models", ("", "/v1/models")),
        ("/support/v1/models", ("support", "/v1/models")),
        ("/v1/v1/models", ("v1", "/v1/models")),
        ("/a/b/v1/models", ("", "/a/b/v1/models")),
        ("/Support/v1/models", ("", "/Support/v1/models")),
        ("/", ("", "/")),
    ],
)
def test_split_path(door: Any, path: str, found: tuple[str, str]) -> None:
    assert tuple(part.decode() for part in door.split_path(path.encode())) == found


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (b'a"b\\c', rb'"a\"b\\c"'),
        (b"\n\x00\x1f", rb'"\n\u0000\u001f"'),
        (b"\xff\xc3\xa4\x7f", b'"????"'),
        (b"\xff", b'"?"'),
        (b"", b'""'),
    ],
)
def test_quoted(door: Any, text: bytes, quoted: bytes) -> None:
    assert door.quoted(text) == quoted
