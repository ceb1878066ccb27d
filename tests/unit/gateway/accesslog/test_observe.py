"""What a line means."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from smallmodel_operator.gateway.accesslog.format import FIELDS
from smallmodel_operator.gateway.accesslog.line import parse
from smallmodel_operator.gateway.accesslog.observe import Ending, Observation, caller_class, observe

SERVED: dict[str, Any] = {
    "http.response.status_code": 200,
    "http.response.content_type": "text/event-stream",
    "gen_ai.operation.name": "chat",
    "gen_ai.usage.input_tokens": 7,
    "gen_ai.usage.output_tokens": 5,
    "slm.target": "support/bot",
    "slm.caller": "key:support/bot",
    "slm.attempts": 1,
    "slm.response.flags": "-",
    "slm.receive_us": 1_000,
    "slm.hold_us": 300,
    "slm.ttft_us": 200_000,
    "slm.end_to_end_us": 600_000,
    "slm.duration_ms": 601,
}


def seen(**changes: Any) -> Observation:
    """Of a line with changes; `__` stands for a dot."""
    return observe(parse(json.dumps({**SERVED, **{k.replace("__", "."): v for k, v in changes.items()}}).encode()))


def test_a_stream() -> None:
    found = seen()
    assert (found.namespace, found.model, found.caller_class, found.ending) == (
        "support", "bot", "client-key", Ending.SERVED
    )  # fmt: skip
    assert found.first_token == pytest.approx(0.2)
    assert found.end_to_end == pytest.approx(0.6)
    assert found.inter_token == pytest.approx(0.1)
    assert (found.input_tokens, found.output_tokens, found.hold, found.waited) == (7, 5, 0.0, None)


def test_first_and_next_tokens_count_for_streams_only() -> None:
    found = seen(http__response__content_type="application/json; charset=utf-8")
    assert (found.first_token, found.inter_token) == (None, None)
    assert found.end_to_end == pytest.approx(0.6)


@pytest.mark.parametrize("tokens", [None, 0, 1])
def test_no_time_between_tokens_without_two(tokens: int | None) -> None:
    assert seen(gen_ai__usage__output_tokens=tokens).inter_token is None


def test_tokens_of_a_llama_stream() -> None:
    none = {"gen_ai__usage__input_tokens": None, "gen_ai__usage__output_tokens": None}
    engine = {"slm__engine__input_tokens": 5, "slm__engine__cached_tokens": 2, "slm__engine__output_tokens": 3}
    found = seen(**none, **engine)
    assert (found.input_tokens, found.output_tokens) == (7, 3)
    assert found.inter_token == pytest.approx(0.2)
    assert (seen(**none).input_tokens, seen(**none).output_tokens) == (None, None)


@pytest.mark.parametrize(
    ("status", "flags", "ending", "reset"),
    [
        (200, "-", Ending.SERVED, False),
        (404, "-", Ending.REFUSED, False),
        (429, "RL", Ending.REFUSED, False),
        (500, "-", Ending.FAILED, False),
        (503, "URX,UF", Ending.FAILED, True),
        (503, "-", Ending.FAILED, False),
        (504, "UT", Ending.FAILED, False),
        (200, "UC", Ending.FAILED, True),
        (200, "SI", Ending.FAILED, False),
        (200, "DC", Ending.LEFT, False),
        (0, "DC", Ending.LEFT, False),
        (0, "-", Ending.FAILED, False),
    ],
)
def test_endings(status: int, flags: str, ending: Ending, reset: bool) -> None:
    found = seen(http__response__status_code=status, slm__response__flags=flags)
    assert (found.ending, found.reset) == (ending, reset)
    assert (found.end_to_end is not None) == (ending is Ending.SERVED)
    assert (found.first_token is not None) == (ending in (Ending.SERVED, Ending.LEFT))
    assert (found.waited is not None) == (ending is Ending.LEFT)


def test_who_left_waited_from_the_last_byte_it_sent() -> None:
    found = seen(slm__response__flags="DC", slm__duration_ms=1500, slm__receive_us=500_000)
    assert found.waited == pytest.approx(1.0)
    assert seen(slm__response__flags="DC", slm__duration_ms=1500, slm__receive_us=None).waited == 0.0


def test_a_hold_is_a_second_attempt() -> None:
    assert seen(slm__attempts=2, slm__hold_us=2_500_000).hold == pytest.approx(2.5)


def test_a_cause_is_of_an_error() -> None:
    """Engines can send any header."""
    assert seen(slm__cause="made-up").cause == ""
    assert seen(slm__cause="off", http__response__status_code=503).cause == "off"


@pytest.mark.parametrize(
    ("caller", "kind"),
    [
        ("sa:crm/bot", "service-account"),
        ("key:support/bot", "client-key"),
        ("key:support/bot/crm", "api-key"),
        ("", "none"),
        ("else", "none"),
    ],
)
def test_classes_of_callers(caller: str, kind: str) -> None:
    assert caller_class(caller) == kind


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"null", b"[1]", b"{}", b"\xff\xfe", b'{"http.response.status_code": "200"}',
        b'{"http.response.status_code": -1}', b'{"http.response.status_code": true}',
        b'{"http.response.status_code": 200, "call": "a|b"}', b'{"http.response.status_code": 200.5}',
        b'{"http.response.status_code": 200}' * 2, b"[" * 100_000,
    ],
)  # fmt: skip
def test_garbage(line: bytes) -> None:
    with pytest.raises(ValueError):
        observe(parse(line))


JSON = st.one_of(st.none(), st.integers(-5, 10**9), st.text(max_size=20), st.booleans(), st.floats(allow_nan=False))


@given(st.dictionaries(st.sampled_from(list(FIELDS)), JSON))
def test_whatever_a_line_says(value: dict[str, Any]) -> None:
    try:
        found = observe(parse(json.dumps(value).encode()))
    except ValueError:
        return
    for number in (found.first_token, found.inter_token, found.end_to_end, found.waited, found.hold):
        assert number is None or number >= 0


@pytest.mark.parametrize(
    ("call", "target", "adapter", "route"),
    [
        ("support/bot", "support/bot", None, None),
        ("support/bot:hr", "support/bot", "hr", None),
        ("support/bot@crm/desk/small", "support/bot", None, "crm/desk/small"),
        ("@crm/desk", None, None, "crm/desk"),
        ("", None, None, None),
    ],
)
def test_target_adapter_and_route_stand_in_one_text(
    call: str, target: str | None, adapter: str | None, route: str | None
) -> None:
    text = {"http.response.status_code": 200, "call": f"key:crm/desk|crm|chat|{call}"}
    line = parse(json.dumps(text).encode())
    found = (line.slm_target, line.slm_adapter, line.slm_route)
    assert tuple(None if value is UNSET else value for value in found) == (target, adapter, route)
    assert observe(line).route == (route or "")
