"""What chat templates are known to need: tags, filters, tests, functions and methods. What is not here is a finding.

The lists follow what llama.cpp's own Jinja knows and what templates of published models use; none of it can reach
outside the values of a request.
"""

import re
from typing import Final

from jinja2 import nodes


def _these(words: str) -> frozenset[str]:
    return frozenset(words.split())


NODES: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.AssignBlock, nodes.Macro,
    nodes.CallBlock, nodes.FilterBlock, nodes.ExprStmt, nodes.Continue, nodes.Break, nodes.Scope, nodes.Name,
    nodes.NSRef, nodes.Const, nodes.Tuple, nodes.List, nodes.Dict, nodes.Pair, nodes.Keyword, nodes.CondExpr,
    nodes.Filter, nodes.Test, nodes.Call, nodes.Getitem, nodes.Getattr, nodes.Slice, nodes.Concat, nodes.Compare,
    nodes.Operand, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Add, nodes.Sub, nodes.Mod, nodes.Pow, nodes.And,
    nodes.Or, nodes.Not, nodes.Neg, nodes.Pos,
)  # fmt: skip

FILTERS: Final = _these(
    "abs capitalize count default d dictsort e escape first float from_json groupby indent int items join last length "
    "list lower map max min reject rejectattr replace reverse round safe select selectattr slice sort string strip sum "
    "title tojson trim truncate unique upper wordcount"
)
BY_NAME: Final = _these("map select selectattr reject rejectattr groupby")
"""Filters whose first argument names a filter, a test or an attribute: it has to be written out."""
TESTS: Final = _these(
    "boolean callable defined divisibleby eq equalto == even false filter float ge gt greaterthan in integer iterable "
    "le lower lt lessthan mapping ne none number odd sameas sequence string true undefined upper test != < <= > >="
)
FUNCTIONS: Final = _these("raise_exception strftime_now namespace range dict caller")
METHODS: Final = _these(
    "append capitalize copy count endswith extend find get index insert isalpha isdigit isspace items join keys lower "
    "lstrip pop removeprefix removesuffix replace reverse rfind rsplit rstrip split splitlines startswith strip title "
    "update upper values"
)

ALIEN_NAMES: Final = _these(
    "lipsum cycler joiner self config request session g url_for get_flashed_messages application current_app"
)
"""Names that templates of web servers have and chat templates have not: the known doors out of a template."""
INNER_ATTRIBUTES: Final = _these(
    "mro func_globals func_code im_func im_self im_class gi_frame gi_code cr_frame cr_code ag_frame ag_code tb_frame "
    "f_back f_builtins f_globals f_locals co_code format_map"
)
DUNDER: Final = re.compile(r"__[A-Za-z]+__")
PLAIN_FORMAT: Final = re.compile(r"(?:[^{}]|\{\{|\}\}|\{\w*(?::[^{}]*)?\})*")
"""A format string whose fields are given as they are: no attribute, no element, no nested field."""

PLAIN_WORDS: Final = re.compile(r"[^\W\d_][^<>\[\]{}|/\\#=_:*`\n]{2,}")
"""Something a person writes, unlike the marks that templates and models write."""
OWN_WORDS: Final = _these(
    "text image image_url video audio input_audio file document documents thinking reasoning tool tools function "
    "system user assistant developer string mapping json none null true false return parts blocks type value name url "
    "data id arguments result output source response"
)
"""Words that stand for kinds of content and for its keys, where the content is a list of parts."""
