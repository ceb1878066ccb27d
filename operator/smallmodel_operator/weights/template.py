"""Looks at the chat templates in a header without rendering them: what does one that no chat template needs?

A template is a program that the publisher of the weights wrote and the server runs on every prompt. It is parsed by the
library it is written for and walked by lists of what is known to be needed; the rest is a finding. Two findings are
about what it is for rather than what it could break: words that decide by the date or by what the user says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser

from smallmodel_operator.weights import conditions_on_text, template_words
from smallmodel_operator.weights.gguf import MAX_TEMPLATE, Template

MAX_NODES: Final = 20_000
"""Nodes of a parsed template; the longest in use have some 1,300."""
MAX_LOOPS: Final = 8
"""Loops inside each other."""
MAX_ROUNDS: Final = 100_000
"""Rounds of loops over constant ranges, inside each other: what a hostile template may cost a server at most."""


class Finding(StrEnum):
    """What is found, by a stable name; its meaning stands in the documentation."""

    TOO_LONG = "TooLong"
    NOT_A_TEMPLATE = "NotATemplate"
    ZERO_BYTE = "ZeroByte"
    UNKNOWN_TAG = "UnknownTag"
    OTHER_TEMPLATE = "OtherTemplate"
    PRIVATE_ATTRIBUTE = "PrivateAttribute"
    UNKNOWN_CALL = "UnknownCall"
    UNKNOWN_FILTER = "UnknownFilter"
    UNKNOWN_NAME = "UnknownName"
    ENDLESS = "Endless"
    DECIDES_BY_DATE = "DecidesByDate"
    DECIDES_BY_WORDS = "DecidesByWords"


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """A finding and its line in the template, counted from 1."""

    line: int
    finding: Finding


class _Generation(Extension):
    """`{% generation %}` marks what the model says; it changes nothing of the text."""

    tags = {"generation"}  # noqa: RUF012 - as its base class has it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@dataclass(frozen=True, slots=True)
class _Place:
    """A node, how many loops are around it, and how many rounds they make."""

    node: nodes.Node
    loops: int = 0
    rounds: int = 1


def first(templates: Sequence[Template]) -> str:
    """The first finding of the first template that has one, for people; empty when there is none."""
    for template in templates:
        found = scan(template.text, template.length)
        if found is not None:
            return f"{found.finding.value} in line {found.line} of `{template.key[:64]}`"
    return ""


def scan(text: str, length: int = 0) -> Found | None:
    """The finding nearest to the template's beginning; None when there is none."""
    if length > MAX_TEMPLATE:
        return Found(1, Finding.TOO_LONG)
    if "\0" in text:
        return Found(text[: text.index("\0")].count("\n") + 1, Finding.ZERO_BYTE)
    try:
        tree = Environment(extensions=[_Generation, loopcontrols], autoescape=True).parse(text)
        return min(_findings(tree), default=None)
    except TemplateSyntaxError as error:
        return Found(error.lineno, Finding.NOT_A_TEMPLATE)
    except (RecursionError, MemoryError, OverflowError, ValueError):
        return Found(1, Finding.TOO_LONG)


def _findings(tree: nodes.Template) -> Iterator[Found]:
    macros = {m.name for m in tree.find_all(nodes.Macro)}
    stored = {n.name for n in tree.find_all(nodes.Name) if n.ctx in ("store", "param")}
    taints = conditions_on_text.taints(tree)
    stack, seen = [_Place(tree)], 0
    while stack:
        place = stack.pop()
        node, seen = place.node, seen + 1
        if seen > MAX_NODES:
            yield Found(1, Finding.TOO_LONG)
            return
        wrong = _wrong(place, macros, stored)
        if wrong is not None:
            yield Found(node.lineno or 1, wrong)
        if conditions_on_text.decides(node, taints.dates, conditions_on_text.anything):
            yield Found(node.lineno or 1, Finding.DECIDES_BY_DATE)
        if conditions_on_text.decides(node, taints.texts, conditions_on_text.words):
            yield Found(node.lineno or 1, Finding.DECIDES_BY_WORDS)
        inner = _inside(place)
        children = conditions_on_text.leaves(node) if isinstance(node, nodes.Add | nodes.Concat) else None
        stack.extend(_Place(c, *inner) for c in (node.iter_child_nodes() if children is None else children))


def _inside(place: _Place) -> tuple[int, int]:
    if not isinstance(place.node, nodes.For):
        return place.loops, place.rounds
    return place.loops + 1, place.rounds * _rounds(place.node.iter)


def _rounds(node: nodes.Node) -> int:
    """Rounds over `range(constants)`; 1 for what the request decides."""
    if not isinstance(node, nodes.Call) or not isinstance(node.node, nodes.Name) or node.node.name != "range":
        return 1
    numbers = [a.value for a in node.args if isinstance(a, nodes.Const) and type(a.value) is int]
    if len(numbers) != len(node.args) or not 1 <= len(numbers) <= 3 or (len(numbers) == 3 and not numbers[2]):
        return 1
    return max(1, len(range(*numbers)))


def _wrong(place: _Place, macros: set[str], stored: set[str]) -> Finding | None:
    node = place.node
    if isinstance(node, nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends | nodes.Block):
        return Finding.OTHER_TEMPLATE
    if not isinstance(node, template_words.NODES):
        return Finding.UNKNOWN_TAG
    if isinstance(node, nodes.Call):
        return _call(node, macros)
    if isinstance(node, nodes.Filter):
        return _filter(node)
    if isinstance(node, nodes.Test):
        return None if node.name in template_words.TESTS else Finding.UNKNOWN_FILTER
    if isinstance(node, nodes.Name):
        alien = node.ctx == "load" and node.name in template_words.ALIEN_NAMES and node.name not in stored
        return Finding.UNKNOWN_NAME if alien or node.name.startswith("__") else None
    if isinstance(node, nodes.For | nodes.Mul | nodes.Pow):
        return _endless(place)
    return Finding.PRIVATE_ATTRIBUTE if _private(node) else None


def _private(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Getattr):
        return node.attr.startswith("_") or node.attr in template_words.INNER_ATTRIBUTES
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        return node.arg.value.startswith("_") or node.arg.value in template_words.INNER_ATTRIBUTES
    if isinstance(node, nodes.Const | nodes.TemplateData):
        return _dunder(node.value if isinstance(node, nodes.Const) else "")
    if isinstance(node, nodes.Add | nodes.Concat):
        # Pieces that become one word when they are put together.
        return any(_dunder(text) for text in conditions_on_text.joined(node))
    return False


def _dunder(value: Any) -> bool:
    return isinstance(value, str) and template_words.DUNDER.search(value) is not None


def _call(node: nodes.Call, macros: set[str]) -> Finding | None:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return Finding.UNKNOWN_CALL
    called = node.node
    if isinstance(called, nodes.Name):
        if called.name == "range" and any(_large(a) for a in node.args):
            return Finding.ENDLESS
        return None if called.name in template_words.FUNCTIONS | macros else Finding.UNKNOWN_CALL
    if not isinstance(called, nodes.Getattr):
        return Finding.UNKNOWN_CALL
    if called.attr == "format":
        # A format string can reach into what it is given: {0.attribute}. Only a plain one, written out, is known.
        text = called.node.value if isinstance(called.node, nodes.Const) else None
        plain = isinstance(text, str) and template_words.PLAIN_FORMAT.fullmatch(text)
        return None if plain else Finding.UNKNOWN_CALL
    return None if called.attr in template_words.METHODS else Finding.UNKNOWN_CALL


def _filter(node: nodes.Filter) -> Finding | None:
    if node.name not in template_words.FILTERS or node.dyn_args is not None or node.dyn_kwargs is not None:
        return Finding.UNKNOWN_FILTER
    if node.name in template_words.BY_NAME and node.args:
        named = node.args[0]
        if not isinstance(named, nodes.Const) or not isinstance(named.value, str):
            return Finding.UNKNOWN_FILTER
        known = template_words.FILTERS if node.name == "map" else template_words.TESTS
        if node.name in ("map", "select", "reject") and named.value not in known:
            return Finding.UNKNOWN_FILTER
    for keyword in node.kwargs:
        if keyword.key == "attribute" and not isinstance(keyword.value, nodes.Const):
            return Finding.UNKNOWN_FILTER
    return None


def _endless(place: _Place) -> Finding | None:
    node = place.node
    if isinstance(node, nodes.Pow):
        return Finding.ENDLESS
    if isinstance(node, nodes.Mul):
        return Finding.ENDLESS if _large(node.left) or _large(node.right) else None
    assert isinstance(node, nodes.For)
    many = place.loops + 1 > MAX_LOOPS or place.rounds * _rounds(node.iter) > MAX_ROUNDS
    return Finding.ENDLESS if node.recursive or many else None


def _large(node: nodes.Node) -> bool:
    """A number no prompt needs, or two numbers multiplied to hide one."""
    if isinstance(node, nodes.Const):
        return isinstance(node.value, int | float) and abs(node.value) > MAX_ROUNDS
    return isinstance(node, nodes.Mul)
