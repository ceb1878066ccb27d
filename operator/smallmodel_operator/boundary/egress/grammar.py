"""A walk over JSON values by a list of what is known: each part of a message has a node, what has none is a finding."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from smallmodel_operator.boundary.egress.inside import Inside

PREFIX: Final = "type.googleapis.com/"
ARROW: Final = " -> "


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that leads outside, or of which nobody knows where it leads. `path` from the listener on."""

    path: tuple[str, ...]
    what: str

    def __str__(self) -> str:
        return f"{ARROW.join(self.path)}: {self.what}"


@dataclass(slots=True)
class Walk:
    """One walk: where it is, and what it has found."""

    inside: Inside
    files: frozenset[str] = frozenset()
    """Paths of files that are part of the configuration."""
    found: list[Finding] = field(default_factory=list)
    clusters: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    """References to clusters: from where, and the name."""
    routings: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    """References to route configurations."""
    stripped: list[frozenset[str]] = field(default_factory=list)
    """For each door, the prefixes of headers a caller cannot bring."""
    steering: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    """Headers that choose a cluster."""
    path: tuple[str, ...] = ()
    passing: bool = False
    """What is walked is a route that only requests with a pass match."""
    inner: bool = False
    """What is walked is a listener for what failed outside."""
    answered: set[str] = field(default_factory=set)
    """Headers that who decides may set."""
    known: dict[str, Any] = field(default_factory=dict)
    """By kind the last value in which nothing was found: see `alike`."""

    def report(self, what: str) -> None:
        self.found.append(Finding(self.path, what))

    @contextmanager
    def at(self, step: str) -> Iterator[None]:
        """A step further along the path."""
        before = self.path
        self.path = (*before, step)
        try:
            yield
        finally:
            self.path = before


Node = Callable[[Any, Walk], None]


def leaf(_: Any, __: Walk) -> None:
    """A part whose type in Envoy's API has neither an extension point nor a reference: it leads nowhere."""


def message(**fields: Node) -> Node:
    """A message with these fields and no others."""

    def visit(value: Any, walk: Walk) -> None:
        if not isinstance(value, dict):
            walk.report("this is no message")
            return
        for name, inner in value.items():
            node = fields.get(name)
            if node is leaf:
                continue
            if node is not None:
                node(inner, walk)
            elif name != "@type":
                walk.report(f"field `{name}` is not known to stay inside")

    return visit


def alike(kind: str, own: Node, rest: Node, *names: str) -> Node:
    """A message of which there are thousands that differ in these fields only.

    The `rest` of one that equals the last one is not walked again; it must hold no reference.
    """

    def visit(value: Any, walk: Walk) -> None:
        if not isinstance(value, dict):
            walk.report("this is no message")
            return
        own({name: value[name] for name in names if name in value}, walk)
        shared = {name: inner for name, inner in value.items() if name not in names}
        if shared != walk.known.get(kind):
            before = len(walk.found)
            rest(shared, walk)
            if len(walk.found) == before:
                walk.known[kind] = shared

    return visit


def many(node: Node) -> Node:
    """A list."""

    def visit(value: Any, walk: Walk) -> None:
        if not isinstance(value, list | tuple):
            walk.report("this is no list")
            return
        for inner in value:
            node(inner, walk)

    return visit


def named(kind: str, node: Node, key: str = "name") -> Node:
    """A step of the path: what the value calls itself."""

    def visit(value: Any, walk: Walk) -> None:
        name = value.get(key, "") if isinstance(value, dict) else ""
        with walk.at(f"{kind} {name}".rstrip()):
            node(value, walk)

    return visit


def mapping(kind: str, node: Node) -> Node:
    """A map from names."""

    def visit(value: Any, walk: Walk) -> None:
        if not isinstance(value, dict):
            walk.report("this is no map")
            return
        for name, inner in value.items():
            with walk.at(f"{kind} {name}".rstrip()):
                node(inner, walk)

    return visit


def packed(**kinds: Node) -> Node:
    """An `Any` of one of these types: names with `__` for `.`."""
    known = {PREFIX + name.replace("__", "."): node for name, node in kinds.items()}

    def visit(value: Any, walk: Walk) -> None:
        if value == {}:
            return
        kind = str(value.get("@type", "")) if isinstance(value, dict) else ""
        node = known.get(kind)
        if node is None:
            walk.report(f"{kind.removeprefix(PREFIX) or 'a configuration without a type'} is not known to stay inside")
        else:
            node(value, walk)

    return visit


def extension(kind: str, **kinds: Node) -> Node:
    """A named extension of one of these types."""
    inner = message(name=leaf, typed_config=packed(**kinds), disabled=leaf)

    def visit(value: Any, walk: Walk) -> None:
        with walk.at(f"{kind} {value.get('name', '') if isinstance(value, dict) else ''}".rstrip()):
            inner(value, walk)
            if isinstance(value, dict) and "typed_config" not in value:
                walk.report("an extension without a configuration is not known to stay inside")

    return visit


def one_of(*values: str) -> Node:
    """A word out of these."""

    def visit(value: Any, walk: Walk) -> None:
        if value not in values:
            walk.report(f"{value!r} is none of {', '.join(values)}")

    return visit
