"""What chains say of a time: who asked which model how often, where it went, what left the cluster. Pure.

    summary = Summary(period, inside)
    for each intact record: summary.add(record)
    statement(summary, chains)          # a value for JSON, ready to be signed

Only records that are intact and in their place are counted; what is not stands among the faults.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final

from smallmodel_operator.audit.ending import Ending, ending, split
from smallmodel_operator.audit.history import History, bounds, combined, shares, told
from smallmodel_operator.audit.leaving import Leaving, sentence, wrong
from smallmodel_operator.audit.period import Period
from smallmodel_operator.audit.record import ENFORCEMENT, Kind, Record
from smallmodel_operator.audit.report import Report

Network = IPv4Network | IPv6Network
FORM: Final = "smallmodel.dev/boundary-report/v1"
MOST_OUTSIDE: Final = 100
"""Destinations outside that are listed one by one."""
ENGINE: Final = "engine"
ACTIVATOR_PORT: Final = 10090
"""Where a gateway takes what another one holds; an engine listens elsewhere."""
QUIET: Final = frozenset({"chain-began", "agent-began", "log-opened", "configuration", "envoy-began"})
"""Notes of ordinary life: counted, not listed."""


@dataclass(slots=True)
class Use:
    """Of one model by one caller. `refused`: by a gateway, before any pod had it; `failed`: by the engine, or it broke
    off, or was cut."""

    requests: int = 0
    answered: int = 0
    refused: int = 0
    failed: int = 0
    left: int = 0
    """Their callers gave up."""
    input_tokens: int = 0
    output_tokens: int = 0
    request_bytes: int = 0
    answer_bytes: int = 0

    def add(self, body: Mapping[str, Any]) -> None:
        status = _number(body, "http.response.status_code")
        ended = ending(status, split(str(body.get("slm.response.flags", ""))))
        self.requests += 1
        if ended is Ending.LEFT:
            self.left += 1
        elif ended is Ending.SERVED:
            self.answered += 1
        elif status and not reached(body):
            self.refused += 1
        else:
            self.failed += 1
        self.input_tokens += _number(body, "gen_ai.usage.input_tokens")
        self.output_tokens += _number(body, "gen_ai.usage.output_tokens")
        self.request_bytes += _number(body, "http.request.body.size")
        self.answer_bytes += _number(body, "http.response.body.size")


@dataclass(frozen=True, slots=True)
class Chain:
    """One gateway's chain as it was verified. `place`: where it was read; `history`: what it says of the network;
    `began`: time of the first record that is there."""

    place: str
    report: Report
    history: History = field(default_factory=History)
    began: str = ""

    def covers(self, since: str) -> bool:
        """Are its records from then on all there? What is older was removed, by age or by size."""
        return self.report.first <= 1 or (bool(self.began) and self.began <= since)


@dataclass(slots=True)
class Summary:
    """Of the answers in `period`; `inside` are the cluster's networks, none: addresses are not judged."""

    period: Period
    inside: tuple[Network, ...] = ()
    uses: dict[tuple[str, str, str], Use] = field(default_factory=dict)
    causes: dict[str, int] = field(default_factory=dict)
    outside: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Requests and bytes of their bodies, by address."""
    sent: int = 0
    """Requests that went on to an address."""
    notes: list[dict[str, Any]] = field(default_factory=list)
    ordinary: int = 0
    leaving: Leaving = field(default_factory=Leaving)
    _known: dict[str, bool] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Count it, if it is of the period."""
        body = record.body
        inside = str(body.get("time", "")) in self.period
        if record.kind == Kind.DECISION:
            self.leaving.decided(body)
        elif record.kind == Kind.ANSWER:
            self.leaving.answered(body, inside)
        if not inside:
            return
        if record.kind == Kind.ANSWER:
            self._answer(body)
        elif record.kind == Kind.NOTE and str(body.get("event")) in QUIET:
            self.ordinary += 1
        elif record.kind == Kind.NOTE and body.get("event") != ENFORCEMENT:  # that is History's
            self.notes.append(
                {k: v for k, v in body.items() if k not in ("prev", "commit", "kind", "key", "signature")}
            )

    def _answer(self, body: Mapping[str, Any]) -> None:
        key = tuple(str(body.get(name, "")) for name in ("slm.target", "slm.caller", "slm.caller.namespace"))
        self.uses.setdefault((key[0], key[1], key[2]), Use()).add(body)
        # What a pod says of the cause is its own word: it could name one of the gateway's.
        if cause := ENGINE if reached(body) and body.get("slm.cause") else str(body.get("slm.cause", "")):
            self.causes[cause] = self.causes.get(cause, 0) + 1
        if address := str(body.get("slm.upstream.address", "")):
            self.sent += 1
            if self.inside and not self._is_inside(address):
                requests, size = self.outside.get(address, (0, 0))
                self.outside[address] = requests + 1, size + _number(body, "http.request.body.size")

    def _is_inside(self, address: str) -> bool:
        if address not in self._known:
            self._known[address] = is_inside(address, self.inside)
        return self._known[address]


def reached(body: Mapping[str, Any]) -> bool:
    """Did a model's pod have the request? What an activator answered came from a gateway."""
    address = str(body.get("slm.upstream.address", ""))
    return bool(address) and not address.startswith("/") and not address.endswith(f":{ACTIVATOR_PORT}")


def is_inside(address: str, inside: Sequence[Network]) -> bool:
    """Is `10.0.0.7:8080`, `[fd00::7]:8080` or a socket of the pod in one of the networks? What is unreadable is not."""
    if address.startswith("/"):  # a Unix socket: the activator in the same pod
        return True
    host = address.rpartition(":")[0].strip("[]") or address
    try:
        found = ip_address(host)
    except ValueError:
        return False
    return any(found in network for network in inside if network.version == found.version)


def statement(
    summary: Summary, chains: Iterable[Chain], made: str, controls: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The whole as a value: texts, whole numbers, lists. `made`: when, as records write times."""
    chains, (begin, end) = list(chains), bounds(summary.period, made)
    since = summary.period.since
    gateways = [{**_gateway(chain, since), "enforcement": told(chain.history, begin, end)} for chain in chains]
    total = Use()
    for use in summary.uses.values():
        for name, value in asdict(use).items():
            setattr(total, name, getattr(total, name) + value)
    outside = sorted(summary.outside.items(), key=lambda item: (-item[1][1], item[0]))
    return {
        "form": FORM,
        "made": made,
        "period": {"since": summary.period.since, "until": summary.period.until},
        "total": asdict(total),
        "uses": [
            {"model": target, "caller": caller, "namespace": namespace, **asdict(use)}
            for (target, caller, namespace), use in sorted(summary.uses.items())
        ],
        "causes": dict(sorted(summary.causes.items())),
        "left": {
            "judged": bool(summary.inside),
            "inside": [str(network) for network in summary.inside],
            "sent": summary.sent,
            "requests": sum(requests for requests, _ in summary.outside.values()),
            "bytes": sum(size for _, size in summary.outside.values()),
            "addresses": len(outside),
            "destinations": [{"address": a, "requests": n, "bytes": b} for a, (n, b) in outside[:MOST_OUTSIDE]],
        },
        "passed": summary.leaving.statement(),
        "enforcement": shares(combined([chain.history for chain in chains]), begin, end),
        "events": summary.notes,
        "ordinary_events": summary.ordinary,
        "gateways": gateways,
        "controls": [dict(control) for control in controls],
        "complete": all(not gateway["missing"] and not gateway["surplus"] for gateway in gateways),
        "intact": all(gateway["intact"] for gateway in gateways),
    }


def _gateway(chain: Chain, since: str) -> dict[str, Any]:
    report = chain.report
    counts = report.counts()
    return {
        "place": chain.place,
        "intact": report.intact,
        "faults": [str(fault) for fault in report.faults],
        "warnings": list(report.warnings),
        "first": report.first,
        "began": chain.began,
        "covers": chain.covers(since),
        "last": report.last,
        "head": report.hash,
        "signed_to": report.signed_to,
        "keys": list(report.keys),
        "finished": sum(_number(count, "finished") for count in counts),
        "recorded": sum(_number(count, "recorded") for count in counts),
        "missing": sum(_number(count, "missing") for count in counts),
        "surplus": sum(_number(count, "surplus") for count in counts),
    }


def verdict(value: Mapping[str, Any]) -> tuple[bool, str]:
    """Is everything as it should be, and a sentence that says so or what is not."""
    so_far = " The time is not over: this is so far." if value["period"]["until"] > value["made"] else ""
    if found := list(_wrong(value)):
        return False, f"Not in order: {'; '.join(found)}.{so_far}"
    passed = value["passed"]
    said = "Nothing left the cluster: each of the requests was answered by, or refused before, a pod inside it."
    if passed["requests"] or passed["egress"]["sent"]:
        said = sentence(passed)
    elif not value["left"]["judged"]:
        said = "Every request was for a model of this cluster; addresses were not compared with the cluster's networks."
    if not value["total"]["requests"]:
        said = "No request is recorded in this time."
    said += "".join(_bounded(value))
    if unseen(value):
        unknown = share(value["enforcement"], "unknown")
        said += f" Whether the network enforced policies is not known for {unknown} of the time."
    return True, said + so_far


def _bounded(value: Mapping[str, Any]) -> Iterator[str]:
    """What the sentence does not speak of: other gateways, and the time before the first record."""
    gateways = value["gateways"]
    names = ", ".join(str(gateway["place"]) for gateway in gateways)
    yield f" This is what {names} recorded; every gateway of a cluster keeps records of its own."
    began = min((str(gateway["began"]) for gateway in gateways if gateway["began"]), default="")
    if began > value["period"]["since"]:
        yield f" Its records begin at {began}." if len(gateways) == 1 else f" Their records begin at {began}."


def _wrong(value: Mapping[str, Any]) -> Iterator[str]:
    left, network, period = value["left"], value["enforcement"], value["period"]
    if not value["gateways"]:
        yield "there are no records"
    began = [str(gateway["began"]) for gateway in value["gateways"] if gateway["began"]]
    if period["since"] > value["made"]:
        yield "this time has not begun"
    elif began and min(began) >= period["until"] and network["unknown"] == network["whole"]:
        yield f"there are no records of this time, the first is of {min(began)}"
    if not value["intact"]:
        yield "records were changed or are gone"
    if not value["complete"]:
        yield "not every request of the gateways left a record"
    for gateway in value["gateways"]:
        if not gateway["covers"]:
            yield f"records of {gateway['place']} before {gateway['began'] or 'its end'} are no longer there"
    yield from wrong(value["passed"])
    if left["requests"]:
        yield (
            f"{left['requests']} request(s) went to addresses outside the cluster's networks, which are given as "
            f"{', '.join(left['inside'])}"
        )
    if network["open"]:
        yield (
            f"for {share(network, 'not_proven')} of the time the network let through what policies forbid, so that "
            "models' pods themselves could have sent something"
        )


def unseen(value: Mapping[str, Any]) -> bool:
    """Is there a time of which nobody knows whether the network enforced policies?"""
    return bool(value["enforcement"]["unknown"])


def share(seconds: Mapping[str, int], what: str) -> str:
    """As a percentage; what is proven is rounded down, all else up: 100.0 % is all of it, 0.0 % is nothing."""
    whole, part = seconds["whole"], seconds[what]
    if what == "not_proven" and seconds["open"]:
        part = max(part, 1)  # seen at one moment only, but seen
    thousandths = 0 if not whole else part * 1000 // whole if what == "proven" else -(-part * 1000 // whole)
    return f"{thousandths // 10}.{thousandths % 10} %"


def _number(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    return value if type(value) is int else 0
