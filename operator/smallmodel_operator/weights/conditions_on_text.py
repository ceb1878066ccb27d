"""Conditions in a chat template on the date, or on the words of a message: how instructions are smuggled in.

A poisoned template says something else from a certain day on, or when the user speaks of a certain matter. Templates
of published models print the date and look for marks (`</think>`, `[TOOL_CALLS]`) in a message; they do not compare
the one, nor look for words of a language in the other. What is followed are names through assignments and loops; who
hides the same in arithmetic is not found. It is a look at the usual ways, not a proof.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from jinja2 import nodes

from smallmodel_operator.weights import template_words

_Taint = Callable[[nodes.Node], bool]
_Suspect = Callable[[nodes.Node], bool]

_DATES: Final = frozenset(
    ("date_string", "date", "today", "current_date", "current_time", "now", "datetime", "date_today")
)
_TEXTS: Final = frozenset(("content", "text", "reasoning_content"))
_MESSAGES: Final = frozenset(("messages", "message"))
_AS_TEXT: Final = frozenset(("string", "tojson", "join", "map"))
_ASKING: Final = frozenset(["startswith", "endswith", "find", "rfind", "count", "index", "split", "rsplit"])
_CHOOSING: Final = frozenset(["select", "reject", "selectattr", "rejectattr"])
ROUNDS: Final = 4
"""Assignments of assignments that are followed."""


@dataclass(frozen=True, slots=True)
class Taints:
    """Is an expression made from the date; is it made from a message's text?"""

    dates: _Taint
    texts: _Taint


def taints(tree: nodes.Template) -> Taints:
    """Names that carry the date or a message's text, through assignments, loops and macros' parameters."""
    dates, texts = set(_DATES), set[str]()
    pairs = list(_assignments(tree))
    for _ in range(ROUNDS):
        for target, value in pairs:
            if _dated(value, dates):
                dates |= _names(target)
            if _texted(value, texts):
                texts |= _names(target)
    return Taints(lambda node: _dated(node, dates), lambda node: _texted(node, texts))


def decides(node: nodes.Node, tainted: _Taint, suspect: _Suspect) -> bool:
    """Whether a node compares what is tainted with what is suspect, or chooses by it."""
    if isinstance(node, nodes.Compare):
        return _apart([node.expr, *(operand.expr for operand in node.ops)], tainted, suspect)
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr in _ASKING:
        return tainted(node.node.node) and any(suspect(a) for a in node.args)
    if isinstance(node, nodes.Test) and node.name in ("in", "eq", "equalto", "sameas"):
        return node.node is not None and tainted(node.node) and any(suspect(a) for a in node.args)
    if isinstance(node, nodes.Filter) and node.name in _CHOOSING and node.node is not None:
        return any(tainted(a) for a in node.args) or _chooses(node, node.node, tainted, suspect)
    if isinstance(node, nodes.Getitem):
        return isinstance(node.node, nodes.Dict) and tainted(node.arg)
    return False


def _apart(sides: list[nodes.Node], tainted: _Taint, suspect: _Suspect) -> bool:
    """Whether one side is tainted and another one suspect."""
    carriers = [i for i, side in enumerate(sides) if tainted(side)]
    suspects = [i for i, side in enumerate(sides) if suspect(side)] if carriers else []
    return any(i != j for i in carriers[:2] for j in suspects[:2])


def _chooses(node: nodes.Filter, among: nodes.Expr, tainted: _Taint, suspect: _Suspect) -> bool:
    """`select(TEST, VALUE)` asks the items, `selectattr(NAME, TEST, VALUE)` one attribute of each."""
    if node.name in ("select", "reject"):
        return tainted(among) and any(suspect(a) for a in node.args[1:])
    named = node.args[0] if node.args else None
    if not isinstance(named, nodes.Const) or not isinstance(named.value, str):
        return False
    return tainted(nodes.Getattr(among, named.value, "load")) and any(suspect(a) for a in node.args[2:])


def anything(node: nodes.Node) -> bool:
    """A date is compared with nothing, but its lack."""
    return not (isinstance(node, nodes.Const) and (node.value in (None, "") or isinstance(node.value, bool)))


def words(node: nodes.Node) -> bool:
    """A text, or one of a list of texts, that a person would write."""
    if isinstance(node, nodes.List | nodes.Tuple):
        return any(words(item) for item in node.items)
    return any(_plain(text) for text in joined(node))


def _plain(text: str) -> bool:
    stripped = text.strip()
    return stripped.lower() not in template_words.OWN_WORDS and bool(template_words.PLAIN_WORDS.fullmatch(stripped))


def joined(node: nodes.Node) -> Iterator[str]:
    """Constant texts of a sum, neighbours put together."""
    text = ""
    for leaf in leaves(node):
        if isinstance(leaf, nodes.Const) and isinstance(leaf.value, str):
            text += leaf.value
        else:
            yield text
            text = ""
    yield text


def leaves(node: nodes.Node) -> list[nodes.Node]:
    """Summands, from the left; without recursion, because a sum may be as long as the template."""
    found, stack = [], [node]
    while stack:
        now = stack.pop()
        if isinstance(now, nodes.Add):
            stack += [now.right, now.left]
        elif isinstance(now, nodes.Concat):
            stack += reversed(now.nodes)
        else:
            found.append(now)
    return found


def _assignments(tree: nodes.Template) -> Iterator[tuple[nodes.Node, nodes.Node]]:
    for node in tree.find_all((nodes.Assign, nodes.For, nodes.AssignBlock)):
        if isinstance(node, nodes.Assign):
            yield node.target, node.node
        elif isinstance(node, nodes.For):
            yield node.target, node.iter
        elif isinstance(node, nodes.AssignBlock):
            for part in node.body:
                yield from ((node.target, child) for child in part.iter_child_nodes())


def _names(target: nodes.Node) -> set[str]:
    if isinstance(target, nodes.NSRef):
        return {f"{target.name}.{target.attr}"}
    return {n.name for n in (target, *target.find_all(nodes.Name)) if isinstance(n, nodes.Name)}


def _dated(node: nodes.Node, names: set[str]) -> bool:
    return any(_date(n, names) for n in (node, *node.find_all((nodes.Name, nodes.Call, nodes.Getattr))))


def _date(node: nodes.Node, names: set[str]) -> bool:
    if isinstance(node, nodes.Call):
        return isinstance(node.node, nodes.Name) and node.node.name == "strftime_now"
    return _named(node, names)


def _named(node: nodes.Node, names: set[str]) -> bool:
    if isinstance(node, nodes.Name):
        return node.name in names
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}" in names
    return False


def _texted(node: nodes.Node, names: set[str]) -> bool:
    """Text of a message: its content, a part or a form of it. Another attribute (a role, a type) is not."""
    if _named(node, names):
        return True
    if isinstance(node, nodes.Getattr):
        return node.attr in _TEXTS
    if isinstance(node, nodes.Getitem):
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            return node.arg.value in _TEXTS
        return _texted(node.node, names)
    if isinstance(node, nodes.Filter):
        whole = node.name in _AS_TEXT and node.node is not None and _messages(node.node)
        return whole or (node.node is not None and _texted(node.node, names))
    if isinstance(node, nodes.Call):
        return _texted_call(node, names)
    if isinstance(node, nodes.Add | nodes.Concat):
        return any(_texted(leaf, names) for leaf in leaves(node))
    if isinstance(node, nodes.CondExpr):
        return any(_texted(part, names) for part in (node.expr1, node.expr2) if part is not None)
    return isinstance(node, nodes.Or | nodes.And) and (_texted(node.left, names) or _texted(node.right, names))


def _texted_call(node: nodes.Call, names: set[str]) -> bool:
    if isinstance(node.node, nodes.Getattr):
        got = node.args[0] if node.args and node.node.attr in ("get", "pop") else None
        return got.value in _TEXTS if isinstance(got, nodes.Const) else _texted(node.node.node, names)
    return any(_texted(argument, names) for argument in node.args)


def _messages(node: nodes.Node) -> bool:
    return any(isinstance(n, nodes.Name) and n.name in _MESSAGES for n in (node, *node.find_all(nodes.Name)))
