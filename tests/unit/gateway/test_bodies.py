"""What the bodies' filter reads of a request and of an answer, beside Python's own reading of the same bytes."""

import ctypes
import json
import math
import re
from functools import cache
from typing import Any

import pytest
from hack.envoy.binary import bodies
from hack.images.gateway.bodies import SOURCES, reader
from hypothesis import example, given, settings
from hypothesis import strategies as st

LONGEST, DEEPEST, MOST_KEYS, COUNTS, DIGITS = 256, 100, 100_000, 5, 15
ASKED = {
    "get_header", "set_header", "get_body_chunks", "get_body_chunks_size", "received_buffered_request_body",
    "set_dynamic_metadata_string", "clear_route_cache",
}  # fmt: skip


@cache
def library() -> Any:
    return ctypes.CDLL(str(reader()))


def exactly(text: bytes) -> Any:
    """Not a byte more: what reads beyond it reads something else than a zero."""
    return (ctypes.c_char * len(text)).from_buffer(bytearray(text)) if text else b""


def named(text: bytes) -> str | None:
    """The model a body names; None: it is no good."""
    name, length = ctypes.create_string_buffer(LONGEST), ctypes.c_size_t()
    library().find_model.restype = ctypes.c_bool
    good = library().find_model(exactly(text), ctypes.c_size_t(len(text)), name, ctypes.byref(length))
    return name.raw[: length.value].decode("ascii") if good else None


def placed(text: bytes) -> bytes:
    """The bytes that say the model, quotes and all."""
    name, length, place = ctypes.create_string_buffer(LONGEST), ctypes.c_size_t(), (ctypes.c_size_t * 2)()
    library().locate_model.restype = ctypes.c_bool
    assert library().locate_model(exactly(text), ctypes.c_size_t(len(text)), name, ctypes.byref(length), place)
    return text[place[0] : place[1]]


def as_header(name: str) -> str:
    kept = [c if "!" <= c <= "~" else "?" for c in name[:LONGEST]]
    return "".join(kept[: LONGEST - 1] + ["?"] * (len(kept) == LONGEST))


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def expected(text: bytes) -> str | None:
    """The same of Python's own parser, made as strict."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("a key is there twice")
        return dict(pairs)

    def finite(said: str) -> float:
        if not math.isfinite(float(said)):
            raise ValueError("too big")
        return float(said)

    try:
        value = json.loads(
            text.decode(), object_pairs_hook=once, parse_constant=finite, parse_float=finite, parse_int=finite
        )
        json.dumps(value, ensure_ascii=False).encode()  # half a character is none
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or depth(value) > DEEPEST:
        return None
    found = value.get("model")
    return as_header(found) if isinstance(found, str) else ""


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4) | st.just("model"), inner, max_size=4)
    ),
    max_leaves=12,
)
NAMES = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["bot", "bot:adapter", "a" * 255, "a" * 256, "a" * 300]
)
BODIES = st.builds(
    lambda more, name: {**more, "model": name}, st.dictionaries(st.text(max_size=4), VALUES, max_size=4), NAMES
)


PIECES = [
    b"", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\xff", b"\xc3", b"0", b"-", b"e9", b"\\ud800", b"\x00"
]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(BODIES, st.booleans(), st.sampled_from([None, 1]))
def test_names_are_found_where_json_has_them(body: dict[str, Any], plain: bool, indent: int | None) -> None:
    text = json.dumps(body, ensure_ascii=plain, indent=indent).encode("utf-8", "surrogatepass")
    assert named(text) == expected(text)


@settings(max_examples=200, deadline=None)
@given(BODIES, st.data())
def test_a_text_that_is_changed_anywhere_is_read_as_python_reads_it(body: dict[str, Any], data: st.DataObject) -> None:
    text = bytearray(json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(st.sampled_from(PIECES))
    assert named(bytes(text)) == expected(bytes(text))


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"{", b"}", b"{}", b"[]", b'"model"', b'{"model"', b'{"model":', b'{"model":"', b'{"model":"b',
        b'{"model":"b"', b'{"model":"b"}', b' \n{ "model"\t:\r"b" } ', b'{"model":"b"} x', b'{"model":"b"}{}',
        b'{"model":null}', b'{"model":1}', b'{"model":["b"]}', b'{"model":{"model":"b"}}', b'{"a":{"model":"b"}}',
        b'{"a":["model","b"]}', b'{"a":"model","b":"c"}', b'{"model":"a","model":"b"}', b'{"mod\\u0065l":"b"}',
        b'{"mod\\u0065l":"b","model":"c"}', b'{"a":{"b":1},"c":{"b":1}}', b'{"a":[{"b":1},{"b":1}]}',
        b'{"a":{"b":1,"b":2}}', b'{"model":"b\\u006ft"}', b'{"model":"b\\u0000"}', b'{"model":"\\ud83d\\ude00"}',
        b'{"model":"\\ud83d"}', b'{"model":"\\ude00\\ud83d"}', b'{"model":"\\u12"}', b'{"model":"\\x"}',
        b'{"model":"\\', b'{"a":01}', b'{"a":-}', b'{"a":-0}', b'{"a":1.}', b'{"a":.5}', b'{"a":1e}', b'{"a":1e+}',
        b'{"a":1E+2}', b'{"a":1e999}', b'{"a":-1e999}', b'{"a":1e-999}', b'{"a":' + b"9" * 305 + b"}", b'{"a":NaN}',
        b'{"a":Infinity}', b'{"a":tru}', b'{"a":true,}', b'{"a":[1,]}', b'{,}', b'{"a"}', b'{"a":1 "b":2}', b'{a:1}',
        b"{'a':1}", b'{"a":"\n"}', b'{"a":"\x7f"}', b'\xef\xbb\xbf{}', b'{"a":"\xc0\xaf"}', b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xf4\x90\x80\x80"}', b'{"a":"\xe2\x82"}', b'{"model":"\xe2\x82\xac"}',
        b'{"a":' * 100 + b"1" + b"}" * 100, b'{"a":' * 101 + b"1" + b"}" * 101,
        b'{"a":' + b"[" * 99 + b"]" * 99 + b"}", b'{"a":' + b"[" * 100 + b"]" * 100 + b"}",
    ],
)  # fmt: skip
def test_what_is_json_and_what_is_not(text: bytes) -> None:
    assert named(text) == expected(text)


def test_many_keys_and_one_twice() -> None:
    pairs = [f'"k{n}":{n}' for n in range(20_000)]
    assert named(("{" + ",".join(pairs) + "}").encode()) == ""
    assert named(("{" + ",".join([*pairs, '"k77":0']) + "}").encode()) is None


def test_no_more_keys_than_are_read_in_a_moment() -> None:
    objects = ",".join(['{"":0}'] * MOST_KEYS)
    assert named(f'{{"x":[{objects}]}}'.encode()) is None
    assert named(f'{{"x":[{objects[:-14]}]}}'.encode()) == "", "two less, and one for x"


def test_numbers_of_any_length_that_a_double_holds() -> None:
    for digits in (b"0." + b"0" * 450 + b"1", b"9" * 308, b"-" + b"9" * 308 + b"." + b"9" * 450, b"1" * 309):
        assert named(b'{"model":"bot","a":' + digits + b"}") == "bot"
    for digits in (b"9" * 309, b"1" * 401, b"1e" + b"0" * 400):
        assert named(b'{"model":"bot","a":' + digits + b"}") is None


KEYS = ("prompt_tokens", "completion_tokens", "prompt_n", "cache_n", "predicted_n")


def counted(*parts: bytes) -> str:
    usage = ((ctypes.c_char * (DIGITS + 1)) * COUNTS)()
    said = ctypes.create_string_buffer(COUNTS * (DIGITS + 1))
    library().find_usage.restype, library().usage_text.restype = ctypes.c_bool, ctypes.c_size_t
    for part in parts:
        before = bytes(usage)
        changed = library().find_usage(exactly(part), ctypes.c_size_t(len(part)), usage)
        assert changed is (bytes(usage) != before)
    length = library().usage_text(usage, said)
    return said.raw[:length].decode()


@pytest.mark.parametrize(
    ("text", "usage"),
    [
        (b'{"usage":{"prompt_tokens":7,"completion_tokens":3}}', "7|3|||"),
        (b'{"usage" : { "prompt_tokens" :\n7}}', "7||||"),
        (b'"timings":{"cache_n":2,"prompt_n":5,"predicted_n":3}', "||5|2|3"),
        (b'"prompt_tokens":1,"prompt_tokens":2', "2||||"),
        (rb'{"content":"\"prompt_tokens\":999"}', "||||"),
        (b'"usage":null', "||||"),
        (b"", "||||"),
        (b'"prompt_tokens":1234567890123456', "||||"),
        (b'"prompt_tokens":123456789012345', "123456789012345||||"),
        (b'"prompt_tokens"', "||||"),
        (b'"prompt_tokens":', "||||"),
        (b'"prompt_tokens" "completion_tokens":1', "|1|||"),
    ],
)
def test_counts(text: bytes, usage: str) -> None:
    assert counted(text) == usage


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([*(f'"{k}"' for k in KEYS), ":", " ", "12", "7", ",", "\\", '"', "x"]), max_size=24).map(
        "".join
    )
)
@example('"cache_n":"cache_n":7')
def test_counts_of_any_text(text: str) -> None:
    found = [re.findall(rf'"{key}"\s*:\s*(\d+)', text) for key in KEYS]
    kept = [[value for value in values if len(value) <= DIGITS] for values in found]
    assert counted(text.encode()) == "|".join(values[-1] if values else "" for values in kept)


def test_it_can_ask_envoy_for_nothing_that_connects() -> None:
    """Compiled code could do anything. This is all it has: seven questions, and C's own memory, texts and numbers."""
    built = bodies().read_bytes()
    assert set(re.findall(rb"envoy_dynamic_module_callback_\w+", built)) == {
        b"envoy_dynamic_module_callback_http_" + name.encode() for name in ASKED
    }
    text = "".join(path.read_text() for path in SOURCES.glob("*.[ch]"))
    assert not re.search(r"\basm\b|__asm|dlopen|dlsym|syscall", text)
    assert set(re.findall(r"#include <(\S+)>", text)) == {
        "math.h", "stdbool.h", "stddef.h", "stdint.h", "stdlib.h", "string.h"
    }  # fmt: skip
    assert not re.search(r"\b(system|getenv|atexit|exit|strcpy|strcat)\(", text)


@given(
    model=st.text(max_size=20), before=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    pad=st.sampled_from(["", " ", "\n\t"]), escape=st.booleans(),
)  # fmt: skip
def test_where_the_model_stands(model: str, before: dict[str, str], pad: str, escape: bool) -> None:
    before.pop("model", None)
    rest = "".join(f"{json.dumps(k)}:{json.dumps({'model': v})}," for k, v in before.items())
    said = json.dumps(model, ensure_ascii=escape).encode("utf-8", "surrogatepass")
    text = f"{pad}{{{rest}{json.dumps('model')}{pad}:{pad}".encode() + said + f'{pad},"x":1}}'.encode()
    assert placed(text) == said


def test_a_model_that_is_no_text_stands_nowhere() -> None:
    assert placed(b'{"model":1}') == b""
    assert placed(b'{"x":{"model":"bot"}}') == b""
