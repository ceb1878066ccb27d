"""Lua inside Envoy: it could call any cluster, start programs and load libraries, so only known texts run."""

import re
from functools import lru_cache
from typing import Any, Final

from smallmodel_operator.boundary.egress.grammar import Node, Walk, message

# fmt: off
METHODS: Final = frozenset({
    "add", "authority", "body", "bodyChunks", "byte", "clearRouteCache", "dynamicMetadata", "filterContext", "find",
    "get", "getAtIndex", "getBytes", "gmatch", "gsub", "headers", "length", "lower", "match", "remove", "rep",
    "replace", "respond", "set", "setBytes", "streamInfo", "sub", "upper",
})
"""Methods of Envoy's handles and of strings that send nothing. `httpCall` is what would: it may ask
the agent, and nobody else."""
OUTSIDE: Final = frozenset({
    "_G", "debug", "dofile", "ffi", "getfenv", "httpCall", "io", "jit", "load", "loadfile", "loadstring", "module",
    "os", "package", "require", "setfenv",
})
"""Names that reach beyond the script. Envoy opens all of LuaJIT's libraries."""
# fmt: on
_ASKS: Final = re.compile(r""":httpCall\(\s*"decide"\s*,""")
"""Of all clusters the one whose only endpoint is the agent's own socket, by its name."""
_TOKEN: Final = re.compile(
    r"""(?P<comment>--\[\[.*?\]\]|--[^\n]*)|(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""", re.DOTALL
)
_HARMLESS: Final = re.compile(r"""\brequire\s*\(\s*["']bit["']\s*\)""")
_METHOD: Final = re.compile(r"(?<!:):\s*([A-Za-z_]\w*)\s*[({\"'\[]")
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_HEAD: Final = re.compile(r"(?:[A-Z_]+ = (?:\[\[[^\]]*\]\]|\d+|true|false)\n)*")
"""Constants in front of a program. A text ends at the first bracket, so nothing in it can become a statement."""


@lru_cache(maxsize=32)
def reaches(program: str) -> tuple[str, ...]:
    """Names in a program by which it could reach beyond its request, sorted; none: it cannot.

    It reads words, not meaning: what a program may say is narrow, so that it can be read like this.
    """
    code = _HARMLESS.sub(" ", _TOKEN.sub(lambda token: token["string"] or " ", program))
    code = _ASKS.sub("(", code)
    spoken = set(_NAME.findall(code)) & OUTSIDE  # in strings, too: a method can be asked for by a string
    bare = _TOKEN.sub(' "" ', code)
    called = {name for name in _METHOD.findall(bare) if name not in METHODS}
    return tuple(sorted(spoken | called))


def _text(value: Any, walk: Walk) -> None:
    with walk.at("Lua"):
        ours = [p for p in walk.inside.programs if isinstance(value, str) and value.endswith(p)]
        if not ours:
            said = ", ".join(reaches(value)) if isinstance(value, str) else ""
            walk.report("a text that is not ours" + (f"; it uses {said}" if said else ""))
        elif not any(_HEAD.fullmatch(value, 0, len(value) - len(p)) for p in ours):
            walk.report("more than constants stands in front of a text of ours")
        elif said := ", ".join(reaches(max(ours, key=len))):
            walk.report(f"it uses {said}")


script: Final[Node] = message(inline_string=_text)
"""A text of Lua as a data source; one from a file was not checked."""
