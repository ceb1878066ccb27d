"""`slm canary`: what runs in the canary's pods. Two listen and try what they are told; the third leads and reports."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.api.names import ENGINE_PORT
from smallmodel_operator.boundary import canary
from smallmodel_operator.boundary.canary import Check, Outcome, Report, Target, Way
from smallmodel_operator.cli.canary_net import Listener, attempts, say, told

MESSAGE_FILE: Final = Path("/dev/termination-log")
RESOLV_CONF: Final = Path("/etc/resolv.conf")
SETTLE_SECONDS: Final = 40.0
"""For pods to listen and for policies to take effect on them."""
ROUNDS: Final = 2
"""So many rounds in a row must show the same."""
PAUSE_SECONDS: Final = 0.5
STAY_SECONDS: Final = 240.0


@dataclass(frozen=True, slots=True)
class Lead:
    """What the leading pod is told: the run's word, the other pods' addresses, the model's node, the DNS domain."""

    run: str
    model: str
    strangers: tuple[str, ...]
    node: str
    domain: str


@dataclass(frozen=True, slots=True)
class _Round:
    """One round; `age` of the model's pod when it began."""

    report: Report
    age: float = 0.0

    @property
    def leaks(self) -> int:
        return sum(c.tried.through for c in self.report.checks)

    @property
    def clean(self) -> bool:
        return not self.leaks and canary.decide(self.report, "").status is True


def listen(run: str, domain: str, port: int = ENGINE_PORT, seconds: float = STAY_SECONDS) -> int:
    """Answer, and try what is told, until told to end; exit code 1 when nobody did in time."""
    with Listener(run, _question(domain), port) as listener:
        print(f"listening on port {listener.port}", flush=True)
        told_to = listener.ended.wait(seconds)
        time.sleep(0.2)  # the last answer is on its way
    return 0 if told_to else 1


def lead(
    told_to: Lead,
    environ: Mapping[str, str] = os.environ,
    message_file: Path = MESSAGE_FILE,
    resolv: Path = RESOLV_CONF,
    settle: float = SETTLE_SECONDS,
    port: int = ENGINE_PORT,
    host: str = "",
) -> int:
    """Lead a run and leave its report; exit code 1 when it could not be left."""
    try:
        survey = Survey(told_to, environ, nameservers(resolv), port)
        with Listener(told_to.run, _question(told_to.domain), port, host):
            report = survey.settled(settle)
        survey.end()
        text = canary.encode(report)
    except (OSError, ValueError, KeyError) as error:
        text = canary.encode(Report(problem=f"the canary itself failed: {error!r:.500}."))
    print(text, flush=True)
    try:
        message_file.write_text(text)
    except OSError as error:
        print(f"no termination message: {error}", file=sys.stderr)
        return 1
    return 0


class Survey:
    """Rounds of attempts and controls.

    Raises:
        KeyError: the kubelet's variables are missing.
    """

    def __init__(self, to: Lead, environ: Mapping[str, str], dns: Sequence[str], port: int) -> None:
        self._to = to
        self._port = port
        self._question = _question(to.domain)
        api = environ["KUBERNETES_SERVICE_HOST"], int(environ["KUBERNETES_SERVICE_PORT"])
        self._goals = canary.targets(to.strangers, port, dns, api, to.node)
        own = environ["SLM_POD_IP"]
        self._model = Target(canary.MODEL, Way.TALK, to.model, port, needed=True)
        self._self = replace(self._model, address=own)

    def settled(self, seconds: float) -> Report:
        """Rounds until two in a row are clean, or time is up: then the worst one, for a leak now and then is one.

        A clean round is never the last word by itself: the one after it says whether it stays so.
        """
        end, clean, first, worst = time.monotonic() + seconds, 0, 0.0, 0
        before = self._controls()
        while True:
            found, before = self._round(before)
            clean = clean + 1 if found.clean else 0
            first = found.age if clean == 1 else first
            if found.leaks >= worst:
                worst, shown = found.leaks, found.report
            print(_line(found), flush=True)
            if clean == ROUNDS:
                return replace(found.report, late_seconds=round(first, 1) if worst else 0.0)
            if time.monotonic() > end and not clean:
                return shown
            time.sleep(PAUSE_SECONDS)

    def end(self) -> None:
        """The other pods may go."""
        for address in (self._to.model, self._to.strangers[0]):
            say(address, self._port, {"run": self._to.run, "end": True}, timeout=2)

    def _controls(self) -> list[Outcome]:
        return attempts(self._goals, self._to.run, self._question)

    def _round(self, before: Sequence[Outcome]) -> tuple[_Round, list[Outcome]]:
        model = self._told(self._to.model, self._goals)
        stranger = self._told(self._to.strangers[0], (self._model, self._self))
        after = self._controls()
        controls = [a if b is Outcome.ANSWERED else b for b, a in zip(before, after, strict=True)]
        checks = []
        if model:
            tried = map(Outcome, model["outcomes"])
            rows = zip(self._goals, tried, controls, strict=True)
            checks += [Check(canary.MODEL, goal, one, control) for goal, one, control in rows]
        if stranger:
            tried_model, tried_self = map(Outcome, stranger["outcomes"])
            checks.append(Check(canary.STRANGER, self._model, tried_model, tried_self))
        report = Report(tuple(checks), problem=_silence(bool(model), bool(stranger)))
        return _Round(report, float((model or {}).get("age", 0.0))), after

    def _told(self, address: str, goals: Sequence[Target]) -> dict[str, Any] | None:
        return say(address, self._port, {"run": self._to.run, "try": told(goals)})


def nameservers(resolv: Path) -> list[str]:
    """Those a pod asks, at most two."""
    words = [line.split() for line in resolv.read_text().splitlines()]
    return [w[1] for w in words if len(w) > 1 and w[0] == "nameserver"][:2]


def _question(domain: str) -> str:
    return f"kubernetes.default.svc.{domain}"


def _silence(model: bool, stranger: bool) -> str:
    if model and stranger:
        return ""
    who = canary.MODEL if not model else canary.STRANGER
    return (
        f"{who} did not answer a call that policies allow. Its network does not work, or another policy of the "
        "operator's namespace keeps pods with `smallmodel.dev/canary` from each other on TCP 8080."
    )


def _line(found: _Round) -> str:
    """Progress, for the log."""
    rows = [f"{c.who} to {c.target.text}: {c.tried} (control: {c.control})" for c in found.report.checks]
    return f"at {found.age:.1f} s: " + ("; ".join(rows) or found.report.problem)
