"""The one way out of a gateway: a route to the egress leads only what has a pass. Pure."""

from typing import Any, Final

from smallmodel_operator.boundary.egress.grammar import Node, Walk
from smallmodel_operator.boundary.egress.inside import PASS

_ONCE: Final = {"num_retries": 0}
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
    """Does a route lead only what has a pass, to one place, once, and without the caller's credentials?"""
    try:
        sent, conditions = route["route"], route["match"]["headers"]
        whole = sent.keys() <= _SENT and sent["retry_policy"] == _ONCE
        needed = any(c == {"name": PASS, "present_match": True} for c in conditions)
        return whole and needed and set(route["request_headers_to_remove"]) >= _SECRET
    except (KeyError, TypeError, AttributeError):
        return False
