"""The one way out of a gateway: a route to the egress leads only what has a pass. Pure."""

from typing import Any, Final

from smallmodel_operator.boundary.egress.grammar import PREFIX, Node, Walk
from smallmodel_operator.boundary.egress.inside import PASS, WAY_OUT

_ONCE: Final = {"num_retries": 0}
_BACK: Final = {
    "retry_on": "5xx,retriable-status-codes",
    "retriable_status_codes": [429],
    "num_retries": 1,
    "retry_priority": "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
}
"""Tried once more, at another priority than the first: see `behind`."""
_WAITS: Final = frozenset({"per_try_timeout", "retry_back_off"})
_SECRET: Final = frozenset({"authorization", "cookie"})
_SENT: Final = frozenset({"cluster", "timeout", "idle_timeout", "retry_policy"})


def one_way(node: Node) -> Node:
    """A route, walked by `node`; what is in it may lead to the egress where it asks for a pass."""

    def visit(value: Any, walk: Walk) -> None:
        before, walk.passing = walk.passing, _passing(value)
        node(value, walk)
        walk.passing = before

    return visit


def _passing(route: Any) -> bool:
    """Does a route lead only what has a pass, to one place, once, and without the caller's credentials?

    Or twice, where the second time is another priority's: what is behind the egress is no way out.
    """
    try:
        sent, conditions = route["route"], route["match"]["headers"]
        whole = sent.keys() <= _SENT and _once(sent["retry_policy"])
        needed = any(c == {"name": PASS, "present_match": True} for c in conditions)
        return whole and needed and set(route["request_headers_to_remove"]) >= _SECRET
    except (KeyError, TypeError, AttributeError):
        return False


def _once(policy: Any) -> bool:
    said = {name: value for name, value in policy.items() if name not in _WAITS}
    if "retry_priority" in said:
        chosen = said["retry_priority"]["typed_config"]
        said["retry_priority"] = str(chosen["@type"]).removeprefix(PREFIX) if chosen["update_frequency"] == 1 else ""
    return policy == _ONCE or said == _BACK


def behind(node: Node) -> Node:
    """A list of endpoints, walked by `node`; behind the egress is the socket that leads back in, and nothing else: so
    what is tried again is not sent out again."""

    def visit(value: Any, walk: Walk) -> None:
        node(value, walk)
        if isinstance(value, dict) and value.get("cluster_name") == WAY_OUT:
            _behind(value, walk)

    return visit


def _behind(value: Any, walk: Walk) -> None:
    try:
        groups = [[one["endpoint"]["address"] for one in group["lb_endpoints"]] for group in value["endpoints"]]
        order = [group.get("priority", 0) for group in value["endpoints"]]
    except (KeyError, TypeError, AttributeError):
        walk.report("its endpoints cannot be read")
        return
    back = [{"pipe": {"path": walk.inside.instead}}]
    if order != list(range(len(groups))) or groups[-1:] != [back] or len(groups) > 2:
        walk.report("behind it is not the way back in, so what fails might be sent out twice")
    if any("pipe" in address for group in groups[:-1] for address in group):
        walk.report("a socket of the pod is no egress")


def back_in(value: Any, walk: Walk) -> None:
    """The sockets a listener may be on."""
    path = value.get("path") if isinstance(value, dict) else None
    doors = {walk.inside.instead, walk.inside.judged}
    if not isinstance(value, dict) or value.keys() - {"path", "mode"} or path not in doors:
        walk.report(f"it listens on {path!r}, which is no way back in")


def inner(node: Node) -> Node:
    """A listener, walked by `node`; of one on a socket nothing may leave, but of that where answers are judged: what
    comes in there has not left before."""

    def visit(value: Any, walk: Walk) -> None:
        address = value.get("address") if isinstance(value, dict) else None
        pipe = address.get("pipe") if isinstance(address, dict) else None
        judged = isinstance(pipe, dict) and bool(walk.inside.judged) and pipe.get("path") == walk.inside.judged
        walk.inner = pipe is not None and not judged
        node(value, walk)
        walk.inner = False

    return visit
