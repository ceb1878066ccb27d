"""The Lua of the filters, in LuaJIT as Envoy runs it."""

import hashlib
import secrets
from typing import Any

import pytest
from lupa.luajit21 import LuaRuntime

from smallmodel_operator.api.names import RESERVED_NAMES
from smallmodel_operator.gateway.state import State
from smallmodel_operator.gateway.xds.scripts import DOOR, TARGET, default, script


@pytest.fixture(scope="module")
def door() -> Any:
    lua = LuaRuntime(encoding=None)
    lua.execute(script(DOOR, State()))
    return lua.globals()


@pytest.fixture(scope="module")
def target() -> Any:
    lua = LuaRuntime()
    lua.execute(default(TARGET) + "function new() return {} end")
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


COUNTED = [
    ('{"usage":{"prompt_tokens":7,"completion_tokens":3}}', {"input_tokens": "7", "output_tokens": "3"}),
    ('{"usage" : { "prompt_tokens" :\n7}}', {"input_tokens": "7"}),
    (
        '"timings":{"cache_n":2,"prompt_n":5,"predicted_n":3}',
        {"engine_cached": "2", "engine_input": "5", "engine_output": "3"},
    ),
    ('"prompt_tokens":1,"prompt_tokens":2', {"input_tokens": "2"}),
    (r'{"content":"\"prompt_tokens\":999"}', {}),
    ('"usage":null', {}),
    ("", {}),
    ('"prompt_tokens":1234567890123456', {}),
]


@pytest.mark.parametrize(("text", "counts"), COUNTED)
def test_count(target: Any, text: str, counts: dict[str, str]) -> None:
    found = target.new()
    assert target.count(text, found) is bool(counts)
    assert dict(found) == counts
