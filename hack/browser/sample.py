"""A boundary report as `slm` makes it, of records that were chained and signed as a gateway's agent does it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.fakes.chain import Fixture

from smallmodel_operator.audit.record import BOUNDARY, ENFORCEMENT
from smallmodel_operator.audit.sign import Signer

BEGAN: Final = datetime(2026, 9, 30, 12, tzinfo=UTC)
PERIOD: Final = "2026-10"
DAY: Final = 86_400_000
"""Milliseconds."""
TRIED: Final = {"status": "True", "reason": "PoliciesEnforced", "through": [], "since": "2026-09-30T12:00:00Z"}
"""What the canary found, every day."""
POD: Final = "10.244.1.7:8080"
INSIDE: Final = "10.244.0.0/16"


@dataclass(frozen=True, slots=True)
class Share:
    """What one caller asked of one model. `refused`: by cause."""

    model: str
    caller: str
    answered: int
    namespace: str = ""
    refused: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    given_up: int = 0
    tokens: tuple[int, int] = (310, 120)
    """Of each request, and of its answer."""


MONTH: Final = (
    Share("claims/letters", "sa:claims/intake", 1240, "claims", {"rate-limited": 12}, 2, 3),
    Share("claims/letters", "sa:claims/archive-search", 318, "claims", tokens=(1450, 90)),
    Share("hr/handbook", "sa:hr/portal", 864, "hr", given_up=7, tokens=(620, 160)),
    Share("hr/handbook", "sa:marketing/site", 0, "marketing", {"not-allowed": 4}),
    Share("support/bot", "key:support/bot/partner-portal", 1902, "", {"rate-limited": 55}, 1, 6),
    Share("support/bot", "sa:support/chat", 2417, "support", failed=3, given_up=11),
    Share("support/triage", "sa:support/inbox", 1033, "support", tokens=(880, 24)),
)
"""Of the picture in the docs."""
_STATUS: Final = {"rate-limited": 429, "not-allowed": 403}


def records(folder: Path, shares: Sequence[Share]) -> Path:
    """Two gateways' records of 33 days, each with half of the requests, counted and signed."""
    for number in (0, 1):
        place = folder / "records" / f"smallmodel-gateway-{number}"
        place.mkdir(parents=True)
        signer = Signer(bytes([number + 1]) * 32)
        made = Fixture(place, segment_bytes=2**20, batch_bytes=2**20, signer=signer, began=BEGAN)
        for day in range(33):
            made.written = day * DAY
            made.recorder.note(ENFORCEMENT, **TRIED, until=(BEGAN + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%SZ"))
            for share in shares[day - 1 :: 31] if 0 < day < 32 else ():
                _ask(made, share, number)
            if day == 20:
                _drill(made)
        made.read()
        count = len(made.log.read_bytes().splitlines())
        made.recorder.checkpoint(
            [{"since": made.life, "finished": count, "recorded": count, "missing": 0, "surplus": 0}]
        )
        made.stop()
    return folder / "records"


def _drill(made: Fixture) -> None:
    """Inference is stopped for a minute."""
    made.read()
    for generation, said in ((4, "Stopped"), (5, "Allowed")):
        made.recorder.note(BOUNDARY, generation=generation, inference=said, reason="yearly drill", namespaces={})
        made.written += 60_000


def _ask(made: Fixture, share: Share, number: int) -> None:
    who = {"slm.target": share.model, "slm.caller": share.caller, "slm.caller.namespace": share.namespace}
    sent = {**who, "slm.upstream.address": POD}
    read, written = share.tokens
    usage = {"gen_ai.usage.input_tokens": read, "gen_ai.usage.output_tokens": written}
    kinds: list[tuple[int, dict[str, Any]]] = [
        (share.answered, {**sent, **usage}),
        (share.failed, {**sent, "http.response.status_code": 500, "slm.cause": "engine"}),
        (share.given_up, {**sent, "http.response.status_code": 0, "slm.response.flags": "DC"}),
        *(
            (times, {**who, "http.response.status_code": _STATUS[cause], "slm.cause": cause})
            for cause, times in share.refused.items()
        ),
    ]
    for times, fields in kinds:
        made.answer((times + 1 - number) // 2, **fields)


def report(folder: Path, shares: Sequence[Share], name: str = "report.html") -> Path:
    """The page, made by the command as people run it, signed.

    Raises:
        RuntimeError: the command found something not in order, or failed; with what it said.
    """
    key = folder / "officer.pem"
    officer = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    key.write_bytes(officer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    words = ["boundary", "report", "--period", PERIOD, "--inside", INSIDE, "--sign-with", str(key), "-o", "html"]
    command = [sys.executable, "-m", "smallmodel_operator.cli.app", *words, str(records(folder, shares))]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    if done.returncode:
        raise RuntimeError(f"`slm {' '.join(words)}` failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    made = folder / name
    made.write_text(done.stdout)
    return made
