"""A gateway's log and the chain recorded from it, without Envoy and without an agent."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from smallmodel_operator.audit.sign import Signer
from smallmodel_operator.gateway.accesslog.counted import LOG, Counted
from smallmodel_operator.gateway.accesslog.metrics import RequestMetrics
from smallmodel_operator.gateway.record.reading import Reading
from smallmodel_operator.gateway.record.recorder import Recorder

SIGNER = Signer(b"s" * 32)
BEGAN = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIFE = "2026-11-21T12:00:00.000000Z"


def line(number: int, began: datetime = BEGAN, **fields: Any) -> bytes:
    """A line of the access log; request `number` came so many milliseconds after that."""
    at = began + timedelta(milliseconds=number)
    value: dict[str, Any] = {
        "time": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "request.id": f"request-{number}",
        "http.response.status_code": 200,
        "client.address": "10.244.0.17",
        "http.request.method": "POST",
        "url.path": "/v1/chat/completions",
        "slm.digest": f"sha256:{'d' * 64}",
        "slm.template": "e" * 64,
        "gen_ai.request.model": "bot",
        "slm.target": "support/bot",
        "slm.duration_ms": 3,
    }
    return json.dumps(value | fields).encode() + b"\n"


class Fixture:
    """A folder with `access.log` and `audit/`, and the recorder that reads the one into the other."""

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = 4096,
        batch_bytes: int = 2048,
        signer: Signer = SIGNER,
        began: datetime = BEGAN,
        gateway: str = "gateway-0",
        **recorder: Any,
    ) -> None:
        self.log, self.audit = folder / LOG, folder / "audit"
        self.life = LIFE
        self.written = 0
        self.passed = timedelta()
        """Since it began, besides a millisecond for each answer."""
        self.now = 0.0
        """What the metrics' reader takes for the time, in seconds."""
        self.signer, self.gateway = signer, gateway
        self._segment_bytes, self._batch_bytes = segment_bytes, batch_bytes
        self._began, self._more = began, recorder
        self.start()

    def start(self) -> None:
        """A process begins."""
        life: Callable[[], str] = lambda: self.life  # noqa: E731
        clock: Callable[[], datetime] = lambda: self._began + self.passed + timedelta(milliseconds=self.written)  # noqa: E731
        self.recorder = Recorder(
            self.audit,
            self.gateway,
            self.signer,
            life=life,
            clock=clock,
            segment_bytes=self._segment_bytes,
            **self._more,
        )
        self.metrics = CollectorRegistry()
        """Of this process."""
        self.counted = Counted(self.log.parent, RequestMetrics(self.metrics), clock=lambda: self.now, today=lambda: 1.0)
        self.reader = Reading(self.log, self.recorder, self.counted, self._batch_bytes)
        self.recorder.open()

    def answer(self, number: int = 1, **fields: Any) -> None:
        """So many requests more in the log."""
        with self.log.open("ab") as log:
            for _ in range(number):
                self.written += 1
                log.write(line(self.written, self._began, **fields))

    def read(self) -> None:
        """All that is in the log is recorded, with a commit for each batch."""
        if self.recorder.failed:
            self.recorder.commit()
        more = True
        while more:
            more = self.reader.step()
            if self.recorder.waiting:
                self.recorder.commit()

    def stop(self) -> None:
        self.reader.close()
        self.recorder.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    @property
    def records(self) -> list[dict[str, Any]]:
        """All records, as they stand."""
        return [json.loads(text) for path in self.segments for text in path.read_bytes().splitlines()]

    @property
    def answered(self) -> list[str]:
        """Request ids, in order."""
        return [record["request.id"] for record in self.records if record["kind"] == "answer"]

    @property
    def segments(self) -> list[Path]:
        return sorted(self.audit.glob("*.jsonl"))
