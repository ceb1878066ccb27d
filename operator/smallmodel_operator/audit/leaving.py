"""What left through the egress, joined: decisions and answers of gateways, and lines of the egress's own log. Pure.

    leaving = Leaving()
    for each intact record: leaving.decided(body) or leaving.answered(body)
    for each line of the egress's log: leaving.sent(line)
    leaving.statement()

A request that left has three witnesses: the decision, recorded before it went; the gateway's answer, which names where
it was sent on to; and the egress's line, which says how many bytes went to the host. What one of them says and another
does not is listed. The egress's log is in no chain: it shows what gateways did not record; its silence proves nothing.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MAY_LEAVE: Final = "MayLeave"
MOST_LISTED: Final = 100
"""Requests that are listed one by one."""
_UNDECIDED: Final = "no decision lets this request leave to there"
_UNANSWERED: Final = "the egress sent it, and no gateway has a record of it"
_TWICE: Final = "the egress sent it more than once"
_UNSEEN: Final = "a gateway sent it to the egress, whose log does not have it"


@dataclass(frozen=True, slots=True)
class Went:
    """A request that a gateway sent on to the egress. `inside`: its time is of the report."""

    target: str
    caller: str
    time: str
    bytes: int
    status: int
    inside: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """A line of the egress. `bytes`: what went to the host, its head included."""

    target: str
    policy: str
    time: str
    bytes: int
    host: str
    inside: bool


@dataclass(slots=True)
class Leaving:
    """All of it, by request id. Decisions of all times: one may begin in one month and be decided on in the next."""

    decisions: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Target and policy of those that let a request leave."""
    went: dict[str, Went] = field(default_factory=dict)
    lines: list[tuple[str, Sent]] = field(default_factory=list)
    refused: int = 0
    """Lines of requests of which nothing went to a host."""
    logged: bool = False
    """There is a log of the egress."""

    def decided(self, body: Mapping[str, Any]) -> None:
        """A record of a decision."""
        if body.get("slm.decision.boundary") == MAY_LEAVE:
            target = f"{body.get('slm.route', '')}/{body.get('slm.decision.target', '')}"
            policy = str(body.get("slm.decision.policy", ""))
            self.decisions.setdefault(str(body.get("request.id", "")), set()).add((target, policy))

    def answered(self, body: Mapping[str, Any], inside: bool) -> None:
        """A record of an answer. One that was to leave and reached nobody is none that left."""
        target, address = str(body.get("slm.left", "")), body.get("slm.upstream.address")
        if target and address:
            size, status = body.get("http.request.body.size"), body.get("http.response.status_code")
            said = (str(body.get("slm.caller", "")), str(body.get("time", "")), _whole(size), _whole(status))
            self.went[str(body.get("request.id", ""))] = Went(target, *said, inside)

    def sent(self, line: Mapping[str, Any], inside: bool) -> None:
        """A line of the egress."""
        self.logged = True
        bytes_out = _whole(line.get("bytes.out"))
        if not bytes_out:
            self.refused += inside
            return
        target, policy, time, host = (
            str(line.get(name, "")) for name in ("slm.target", "slm.decision.policy", "time", "server.address")
        )
        sent = Sent(target, policy, time, bytes_out, host, inside)
        self.lines.append((str(line.get("request.id", "")), sent))

    def statement(self) -> dict[str, Any]:
        """As a value for JSON."""
        went = {id_: one for id_, one in self.went.items() if one.inside}
        lines = [(id_, one) for id_, one in self.lines if one.inside]
        unmatched = sorted(self._unmatched(went, lines), key=lambda item: (item["time"], item["id"]))
        return {
            "requests": len(went),
            "bytes": sum(one.bytes for one in went.values()),
            "targets": _by_target(went, lines),
            "egress": {"given": self.logged, "sent": len(lines), "refused": self.refused},
            "unmatched": len(unmatched),
            "listed": unmatched[:MOST_LISTED],
        }

    def _unmatched(self, went: Mapping[str, Went], lines: list[tuple[str, Sent]]) -> Iterator[dict[str, str]]:
        for id_, one in went.items():
            if one.target not in {target for target, _ in self.decisions.get(id_, ())}:
                yield _item(id_, one, _UNDECIDED)
        times = Counter(id_ for id_, _ in self.lines)
        for id_, sent in lines:
            if times[id_] > 1:
                yield _item(id_, sent, _TWICE)
            elif (sent.target, sent.policy) not in self.decisions.get(id_, ()):
                yield _item(id_, sent, _UNDECIDED)
            elif id_ not in self.went or self.went[id_].target != sent.target:
                yield _item(id_, sent, _UNANSWERED)
        for id_, one in went.items() if self.logged else ():
            # Nothing went to a host of what the egress itself refused.
            if id_ not in times and one.status < 400:
                yield _item(id_, one, _UNSEEN)


def _by_target(went: Mapping[str, Went], lines: list[tuple[str, Sent]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for one in went.values():
        item = found.setdefault(one.target, _nothing(one.target))
        item["requests"] += 1
        item["bytes"] += one.bytes
        item["callers"] = sorted({*item["callers"], one.caller})
    for _, sent in lines:
        item = found.setdefault(sent.target, _nothing(sent.target))
        item["sent"] += 1
        item["sent_bytes"] += sent.bytes
        item["hosts"] = sorted({*item["hosts"], sent.host})
    return [found[target] for target in sorted(found)]


def _nothing(target: str) -> dict[str, Any]:
    return {"target": target, "requests": 0, "bytes": 0, "callers": [], "sent": 0, "sent_bytes": 0, "hosts": []}


def _item(id_: str, one: Went | Sent, why: str) -> dict[str, str]:
    return {"id": id_, "time": one.time, "target": one.target, "why": why}


def _whole(value: Any) -> int:
    """Envoy writes numbers of its own as numbers, and nothing as a dash."""
    return value if type(value) is int else 0


def line_of(text: bytes) -> Mapping[str, Any] | None:
    """One line of the egress's log; None: it is something else that its pod has said."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "status" in found and "time" in found else None


def wrong(passed: Mapping[str, Any]) -> Iterator[str]:
    """What is not in order of a statement."""
    if passed["unmatched"]:
        first = passed["listed"][0]
        yield (
            f"{passed['unmatched']} request(s) that left do not match: of {first['id'] or 'one without an id'} to "
            f"{first['target'] or 'nobody'}, {first['why']}"
        )


def sentence(passed: Mapping[str, Any]) -> str:
    """What left, of a statement in which all is in order."""
    said = f"{passed['requests']} request(s) left the cluster through the egress, each by a recorded decision"
    return f"{said}, and its log agrees." if passed["egress"]["given"] else f"{said}; the egress's log was not given."
