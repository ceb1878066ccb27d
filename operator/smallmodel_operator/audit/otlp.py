"""Records as OpenTelemetry log records, in the JSON of OTLP: one line is one `ExportLogsServiceRequest`. Pure.

The OpenTelemetry Collector's `otlpjsonfile` receiver reads such lines. Names of attributes are those of the records:
OpenTelemetry's GenAI names where it has one, ours (`slm.…`) otherwise. So that each can be checked against the chain it
came from, its number and hashes are among them. In this form nobody can compute the hash again, so a record that is not
what was written says it itself: `slm.record.intact` is false, and it is an error.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

import orjson

from smallmodel_operator.audit.record import Kind, Record

BATCH: Final = 100
"""Records in a line."""
SCOPE: Final = "smallmodel.dev/audit"
PROVIDER: Final = "smallmodel"
"""`gen_ai.provider.name`: which kind of service answered."""
_INFO, _WARN, _ERROR = (9, "INFO"), (13, "WARN"), (17, "ERROR")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE: Final = {"seq": "slm.record.seq", "prev": "slm.record.prev", "kind": "slm.record.kind"}
_LEFT_OUT: Final = frozenset({"time", "commit"})
_SIGNED: Final = frozenset({"key", "signature"})
"""Of the last record of a commit: they say nothing of the answer."""


def lines(records: Iterable[Record], gateway: str) -> Iterator[bytes]:
    """Lines of one gateway's records, without their newline."""
    source = iter(records)
    while batch := list(islice(source, BATCH)):
        scope = {"scope": {"name": SCOPE}, "logRecords": [log_record(record) for record in batch]}
        resource = {"service.name": "smallmodel-gateway", **({"service.instance.id": gateway} if gateway else {})}
        yield orjson.dumps({"resourceLogs": [{"resource": {"attributes": _pairs(resource)}, "scopeLogs": [scope]}]})


def log_record(record: Record) -> dict[str, Any]:
    """One record. 64-bit numbers are texts, as protobuf's JSON has them."""
    body = record.body
    left_out = _LEFT_OUT | (_SIGNED if record.kind in (Kind.ANSWER, Kind.DECISION, Kind.IN_FORCE) else frozenset())
    named = {_PLACE.get(name, name): value for name, value in body.items() if name not in left_out}
    named |= {"slm.record.hash": record.hash, "slm.record.intact": record.intact}
    if record.kind == Kind.ANSWER and "gen_ai.operation.name" in body:
        named["gen_ai.provider.name"] = PROVIDER
    number, word = _severity(record)
    at = str(_nanoseconds(str(body.get("time", ""))))
    return {
        "timeUnixNano": at,
        "observedTimeUnixNano": at,
        "severityNumber": number,
        "severityText": word,
        "eventName": f"smallmodel.{record.kind}",
        "attributes": _pairs(named),
    }


def _severity(record: Record) -> tuple[int, str]:
    """Of answers by their status; 0: the caller left."""
    if not record.intact:
        return _ERROR
    status = record.body.get("http.response.status_code")
    if not isinstance(status, int) or 0 < status < 400:
        return _INFO
    return _ERROR if status >= 500 else _WARN


def _nanoseconds(text: str) -> int:
    """Since 1970; 0: it is not known."""
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1) * 1000
    except (ValueError, TypeError):
        return 0


def _pairs(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in sorted(values.items())]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    if isinstance(value, Mapping):
        return {"kvlistValue": {"values": _pairs(value)}}
    return {"stringValue": str(value)}
