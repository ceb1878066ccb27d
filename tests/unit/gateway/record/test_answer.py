"""A line of the log as a record's body."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.audit.record import ORIGIN, canonical, read
from smallmodel_operator.gateway.accesslog.format import FIELDS
from smallmodel_operator.gateway.accesslog.line import LARGEST, fields_of, parse
from smallmodel_operator.gateway.record.answer import answer, sealed_answer

LINE: dict[str, Any] = {"time": "2026-11-21T00:00:00.000000Z", "http.response.status_code": 200, "slm.attempts": 1}


def found(**more: Any) -> dict[str, Any]:
    return fields_of(answer(parse(json.dumps(LINE | {k.replace("__", "."): v for k, v in more.items()}).encode())))


@pytest.mark.parametrize(
    "more",
    [
        {"slm.cause": None},
        {"slm.cause": 7},
        {"slm.hold_us": 1.5},
        {"slm.hold_us": True},
        {"slm.hold_us": -1},
        {"slm.hold_us": 10**30},
        {"new": "x"},
        {"kind": 7, "seq": "x"},
    ],
)
def test_only_known_fields_of_their_type(more: dict[str, Any]) -> None:
    assert fields_of(answer(parse(json.dumps(LINE | more).encode()))) == {**LINE, "kind": "answer"}


def test_a_known_field() -> None:
    assert found(slm__cause="x")["slm.cause"] == "x"


@pytest.mark.parametrize("name", ["time", "http.response.status_code"])
@pytest.mark.parametrize("value", [None, 1.5])
def test_what_a_record_cannot_be_without(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"no {name}"):
        answer(parse(json.dumps(LINE | {name: value}).encode()))


def test_what_envoy_joins_is_put_into_its_fields() -> None:
    call = {"slm.caller": "sa:crm/bot", "slm.caller.namespace": "crm", "gen_ai.operation.name": "chat"}
    assert found(call="sa:crm/bot|crm|chat|support/bot") == {
        **LINE, **call, "kind": "answer", "slm.target": "support/bot", "gen_ai.request.model": "bot"
    }  # fmt: skip
    assert found(call="key:a/b||chat|") == {
        **LINE, "kind": "answer", "slm.caller": "key:a/b", "gen_ai.operation.name": "chat"
    }  # fmt: skip
    asked = {"gen_ai.request.model": "other"}
    assert found(call="sa:crm/bot|crm|chat|support/bot", **asked)["gen_ai.request.model"] == "other"
    used = found(usage="7|0||99999999999999999999|1e3")
    assert used == {**LINE, "kind": "answer", "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 0}
    policy = {"slm.digest": "sha256:1", "slm.engine.revision": "e", "slm.policy": "p"}
    assert found(route="sha256:1||e|p") == {**LINE, "kind": "answer", **policy}


@pytest.mark.parametrize("more", [{"call": "a|b"}, {"usage": "1"}, {"route": ""}, {"route": "a|b|c|d|e"}])
def test_what_the_gateway_does_not_join_is_no_line(more: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="parts, not"):
        answer(parse(json.dumps(LINE | more).encode()))


TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
VALUES = {name: st.integers(0, LARGEST) if field.json is int else TEXT for name, field in FIELDS.items()}


@given(st.fixed_dictionaries({}, optional=VALUES), st.booleans())
def test_whatever_a_line_says_its_record_is_canonical(more: dict[str, Any], ascii_only: bool) -> None:
    """Written by another library than the one that checks it."""
    text = json.dumps(LINE | more, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        body = answer(parse(text))
    except UnicodeDecodeError:  # no text at all: Envoy writes none
        return
    line, made = sealed_answer(body, 7, ORIGIN)
    record = read(line)
    assert (record.hash, record.intact, record.seq, record.prev) == (made, True, 7, ORIGIN)
    whole = orjson.loads(line)
    del whole["hash"]
    assert canonical(whole) == line[: -len(',"hash":""}\n') - 64] + b"}"
    assert whole.keys() == {*LINE, *more, "kind", "seq", "prev"}
