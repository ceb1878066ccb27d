"""What one run of the canary found, and what it means. Pure; the words that pods and operator exchange are here too.

A thing that is kept from happening proves nothing by itself: its target may be down. So everything a policy forbids is
tried beside a control, the same attempt by a pod that is allowed it, before and after.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason

METADATA: Final = ("169.254.169.254", 80)
"""Where clouds give credentials to whoever asks; link-local, so that asking never leaves the node's network."""
KUBELET_PORT: Final = 10250
MESSAGE_BYTES: Final = 4096
"""What a termination message holds."""


class Outcome(StrEnum):
    """How one attempt ended."""

    ANSWERED = "answered"
    CONNECTED = "connected"  # a connection, but not the words that were expected
    REFUSED = "refused"  # by the target or by a policy that rejects: blocked, if a control is answered
    SILENT = "silent"
    UNREACHABLE = "unreachable"
    FAILED = "failed"  # the attempt itself could not be made

    @property
    def through(self) -> bool:
        return self in (Outcome.ANSWERED, Outcome.CONNECTED)


class Way(StrEnum):
    """How a target is tried."""

    TALK = "talk"  # TCP, and the canary's own words
    CONNECT = "connect"  # TCP, nothing said
    ASK = "ask"  # UDP, a DNS question


@dataclass(frozen=True, slots=True)
class Target:
    """One address. `needed`: without a control that is answered there, the run has proved nothing."""

    what: str
    way: Way
    address: str
    port: int
    needed: bool = False

    @property
    def text(self) -> str:
        """For people; addresses of the canary's own pods change with each run and would only be noise."""
        protocol = "UDP" if self.way is Way.ASK else "TCP"
        where = "" if self.way is Way.TALK else f" {self.address}"
        return f"{self.what}{where} on {protocol} {self.port}"


@dataclass(frozen=True, slots=True)
class Check:
    """Something a policy forbids, as `who` tried it, and as the control did."""

    who: str
    target: Target
    tried: Outcome
    control: Outcome


@dataclass(frozen=True, slots=True)
class Report:
    """What a run's pods say. `late_seconds`: so old was the model's pod when nothing got through any more."""

    checks: tuple[Check, ...] = ()
    late_seconds: float = 0.0
    problem: str = ""
    """Why there is no more to say, with the way out."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a run means: `status` None is Unknown. `through` says what got through."""

    status: bool | None
    reason: Reason
    message: str
    through: tuple[str, ...] = ()


MODEL: Final = "a model's pod"
STRANGER: Final = "a stranger"
OTHER_POD: Final = "another pod"


def targets(pods: Sequence[str], port: int, dns: Sequence[str], api: tuple[str, int], node: str) -> tuple[Target, ...]:
    """What a model's pod must not reach: a pod, names, the API server, its node, the cloud's metadata."""
    found = [Target(OTHER_POD, Way.TALK, address, port, needed=True) for address in pods]
    for number, server in enumerate(dns):
        found += [Target("DNS", Way.ASK, server, 53, needed=number == 0), Target("DNS", Way.CONNECT, server, 53)]
    found.append(Target("the API server", Way.CONNECT, *api))
    found.append(Target("its node", Way.CONNECT, node, KUBELET_PORT))
    found.append(Target("the metadata service", Way.CONNECT, *METADATA))
    return tuple(found)


def decide(report: Report, node: str) -> Finding:
    """What a report means for the node the model's pod ran on."""
    leaks = [c for c in report.checks if c.tried.through]
    where = f"on node {node}" if node else "on a node"
    if leaks:
        through = tuple(dict.fromkeys(f"{c.who} reached {c.target.text}" for c in leaks))
        text = (
            f"Something that policies forbid got through {where}: {'; '.join(through)}. Prompts could leave this way. "
            "Install or repair a network plugin that enforces NetworkPolicies, for pods of every node "
            "(docs/explanation/boundary.md says how to find the cause)."
        )
        return Finding(False, Reason.POLICIES_NOT_ENFORCED, text, through)
    if why := report.problem or _unproved(report.checks):
        return Finding(None, Reason.PROBE_FAILED, f"It is not known: {why}")
    proved = [c for c in report.checks if c.control is Outcome.ANSWERED]
    silent = [c.target.text for c in report.checks if c.control is not Outcome.ANSWERED]
    text = f"Nothing that policies forbid got through {where}: {_listed(proved)}."
    if report.late_seconds:
        text += f" It did until the model's pod was {report.late_seconds:.0f} s old: the network plugin is that late."
    if silent:
        text += f" Not tested, because nobody is answered there: {', '.join(silent)}."
    return Finding(True, Reason.POLICIES_ENFORCED, text)


def _unproved(checks: Sequence[Check]) -> str:
    """Why nothing follows from what did not get through; empty when something does."""
    if not checks:
        return "the canary's pods made no attempt. Look at their logs: `kubectl logs -l smallmodel.dev/canary`."
    failed = [c.target.text for c in checks if c.tried is Outcome.FAILED and c.control is Outcome.ANSWERED]
    if failed:
        return f"{failed[0]} could not be tried (see the logs of the canary's pods)."
    mute = [c for c in checks if c.target.needed and c.control is not Outcome.ANSWERED]
    if mute:
        words = ", ".join(f"{c.target.text} ({c.control})" for c in mute)
        return (
            f"those who are allowed to get through do not either: {words}. Another policy of the operator's namespace, "
            "or a network that is down, is the cause; allow the pods that NetworkPolicy smallmodel-canary selects "
            "what it says."
        )
    return ""


def _listed(checks: Sequence[Check]) -> str:
    return "; ".join(f"{c.who} did not reach {c.target.text}" for c in checks)


def encode(report: Report) -> str:
    """As JSON for a termination message."""
    text = json.dumps(asdict(report), separators=(",", ":"))
    if len(text.encode()) > MESSAGE_BYTES:
        raise ValueError(f"a report of {len(text)} bytes does not fit into a termination message")
    return text


def decode(text: str) -> Report:
    """The report in a termination message.

    Raises:
        ValueError: it is none.
    """
    try:
        said = json.loads(text)
        checks = tuple(
            Check(str(c["who"]), target(c["target"]), Outcome(c["tried"]), Outcome(c["control"]))
            for c in said["checks"]
        )
        return Report(checks, float(said["late_seconds"]), str(said["problem"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no report of a canary: {error!r}") from error


def target(said: Mapping[str, Any]) -> Target:
    """One target from JSON.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    way, port = Way(said["way"]), int(said["port"])
    return Target(str(said["what"]), way, str(said["address"]), port, bool(said.get("needed", False)))
