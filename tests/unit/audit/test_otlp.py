"""Records as OpenTelemetry log records."""

import json
from typing import Any

import pytest

from smallmodel_operator.audit.otlp import BATCH, lines, log_record
from smallmodel_operator.audit.record import ORIGIN, Record, read, seal


def record(seq: int = 7, kind: str = "answer", **body: Any) -> Record:
    at = {"time": "2026-11-21T12:00:00.000123Z", "kind": kind}
    return read(seal(at | body, seq, ORIGIN)[0])


def attributes(made: dict[str, Any]) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in made["attributes"]}


def test_an_answer() -> None:
    own = {"commit": {"log": 1}, "key": "k", "signature": "s"}
    answer = record(**{"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 12, **own})
    made = log_record(answer)
    assert made["timeUnixNano"] == made["observedTimeUnixNano"] == "1795262400000123000"
    assert (made["eventName"], made["severityText"]) == ("smallmodel.answer", "INFO")
    assert attributes(made) == {
        "gen_ai.operation.name": {"stringValue": "chat"},
        "gen_ai.provider.name": {"stringValue": "smallmodel"},
        "gen_ai.usage.input_tokens": {"intValue": "12"},
        "slm.record.kind": {"stringValue": "answer"},
        "slm.record.seq": {"intValue": "7"},
        "slm.record.prev": {"stringValue": ORIGIN},
        "slm.record.hash": {"stringValue": answer.hash},
        "slm.record.intact": {"boolValue": True},
    }


@pytest.mark.parametrize(("status", "word"), [(200, "INFO"), (404, "WARN"), (429, "WARN"), (500, "ERROR"), (0, "WARN")])
def test_severity_is_that_of_the_status(status: int, word: str) -> None:
    assert log_record(record(**{"http.response.status_code": status}))["severityText"] == word


def test_what_is_in_force_is_nested() -> None:
    made = log_record(record(kind="in-force", policy={"allow": ["a", "b"], "off": True}))
    assert attributes(made)["policy"] == {
        "kvlistValue": {
            "values": [
                {"key": "allow", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}}},
                {"key": "off", "value": {"boolValue": True}},
            ]
        }
    }


def test_a_time_that_is_none_is_unknown() -> None:
    assert log_record(record(time="yesterday"))["timeUnixNano"] == "0"
    assert log_record(record(time="2026-11-21"))["timeUnixNano"] == "0"


def test_lines_hold_a_batch_each() -> None:
    found = [json.loads(line) for line in lines((record(n + 1) for n in range(BATCH + 1)), "gateway-0")]
    batches = [line["resourceLogs"][0]["scopeLogs"][0]["logRecords"] for line in found]
    assert [len(batch) for batch in batches] == [BATCH, 1]
    assert attributes(found[0]["resourceLogs"][0]["resource"]) == {
        "service.instance.id": {"stringValue": "gateway-0"},
        "service.name": {"stringValue": "smallmodel-gateway"},
    }
    assert list(lines([], "gateway-0")) == []
