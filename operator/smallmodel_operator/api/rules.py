"""Validation rules: CEL for the API server, each with its Python twin for `slm lint`.

A rule belongs to a place in the schema (`at`), sees the value there as `self`, and names the field and the fix.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Final

from smallmodel_operator.api.adapter_rules import ADAPTER_RULES
from smallmodel_operator.api.boundary_rules import BOUNDARY_RULES
from smallmodel_operator.api.budget_rules import ROUTE_BUDGET_RULES
from smallmodel_operator.api.choice_rules import CHOICE_RULES
from smallmodel_operator.api.cost_rules import COST_RULES
from smallmodel_operator.api.engine_rules import ENGINE_RULES
from smallmodel_operator.api.escalation_rules import ESCALATION_RULES
from smallmodel_operator.api.flags import OPENING, OPENING_PATTERN, OWNED, OWNED_ENVIRONMENT
from smallmodel_operator.api.latency_rules import LATENCY_RULES
from smallmodel_operator.api.name_rules import NAME_RULES
from smallmodel_operator.api.names import API_VERSION
from smallmodel_operator.api.outside_rules import OUTSIDE_RULES
from smallmodel_operator.api.price_rules import PRICE_RULES
from smallmodel_operator.api.quantity_rules import QUANTITY_RULES
from smallmodel_operator.api.quantization_rules import QUANTIZATION_RULES
from smallmodel_operator.api.recognizer_rules import RECOGNIZER_RULES
from smallmodel_operator.api.route_rules import ROUTE_RULES
from smallmodel_operator.api.rule import Rule, Value, Violation
from smallmodel_operator.api.scaling_rules import SCALING_RULES
from smallmodel_operator.api.source_rules import ALLOWS, OR_ALLOW, SOURCE_RULES, allows
from smallmodel_operator.api.tools_rules import TOOLS_RULES
from smallmodel_operator.api.weights_rules import WEIGHTS_RULES

# For RE2 and Python alike: without backslashes, which CEL reads itself; `[!-~]` is printable ASCII. Python's `$`
# would let a line break at the end pass, hence fullmatch.
_OCI: Final = "oci://[!-?A-~]+@sha256:[0-9a-f]{64}"
_TAGGED: Final = "oci://[!-?A-~]+:[a-zA-Z0-9_][-a-zA-Z0-9_.]{0,127}"
_HOST: Final = "[]a-zA-Z0-9.:[-]+"  # also a port, and IPv6 in brackets
_IMAGE: Final = f"oci://({_HOST}/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[a-zA-Z0-9_][-a-zA-Z0-9_.]*)?(@.*)?"
_PVC: Final = "pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/.*)?"
_HTTPS: Final = "https://[!-.0-?A-~]+/[!-~]+"
_LABEL_KEY: Final = "([a-z0-9][-a-z0-9.]*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None


def _uri(source: Value) -> str:
    return str(source.get("uri") or "")


def _within(path: str) -> bool:
    return not re.search(r"(^|/)\.\.(/|$)", path)


def _flag(argument: str) -> str:
    return argument.split("=")[0].replace("_", "-")


def _opens(flag: str) -> bool:
    return flag in OPENING or re.search(OPENING_PATTERN, flag) is not None


_FLAG: Final = "a.split('=')[0].replace('_', '-')"


_QUANTITY = re.compile(r"^([0-9]+(?:\.[0-9]{1,3})?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
_SCALE: Final[Mapping[str, Decimal]] = {
    "": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip


def _at_most(name: str, resources: Value) -> bool:
    low, high = ((resources.get(k) or {}).get(name) for k in ("requests", "limits"))
    numbers = [_QUANTITY.match(str(q)) for q in (low, high)]
    if low is None or high is None or not all(numbers):
        return True
    a, b = (Decimal(m[1]) * _SCALE[m[2] or ""] for m in numbers if m)
    return a <= b


def _cel_list(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{v}'" for v in values) + "]"


_SOURCE = "spec.source"
_TOLERATING: Final = (("SmallModel", "spec.compute"), ("ComputeProfile", "spec"))
RULES: Final[tuple[Rule, ...]] = (
    *NAME_RULES,
    Rule(
        "SmallModel", _SOURCE,
        "['oci://', 'pvc://', 'hf://', 's3://', 'https://'].exists(s, self.uri.startsWith(s))",
        f"{_SOURCE}.uri",
        "`spec.source.uri` must begin with oci://, pvc://, hf://, s3:// or https://; nothing else is supported yet.",
        lambda s: _uri(s).startswith(("oci://", "pvc://", "hf://", "s3://", "https://")),
    ),
    Rule(
        "SmallModel", _SOURCE,
        f"!self.uri.startsWith('oci://') || self.uri.matches('^{_OCI}$') || ({ALLOWS} && "
        f"self.uri.matches('^{_TAGGED}$'))",
        f"{_SOURCE}.uri",
        "`spec.source.uri` must name a digest: oci://registry/repository@sha256:<64 hex digits>; a tag may change "
        f"(`crane digest` or `oras resolve` prints the digest of a tag), {OR_ALLOW}.",
        lambda s: not _uri(s).startswith("oci://") or _matches(_OCI, _uri(s)) or (
            allows(s) and _matches(_TAGGED, _uri(s))
        ),
    ),
    Rule(
        "SmallModel", _SOURCE,
        f"!self.uri.startsWith('oci://') || self.uri.matches('^{_IMAGE}$')",
        f"{_SOURCE}.uri",
        "`spec.source.uri` must name an image as oci://registry[:port]/repository, the repository in lower case.",
        lambda s: not _uri(s).startswith("oci://") or _matches(_IMAGE, _uri(s)),
    ),
    Rule(
        "SmallModel", _SOURCE,
        f"!self.uri.startsWith('pvc://') || (self.uri.matches('^{_PVC}$') && "
        "!self.uri.matches('(^|/)[.][.](/|$)'))",
        f"{_SOURCE}.uri", "`spec.source.uri` must be pvc://CLAIM/PATH with a path that stays inside the claim.",
        lambda s: not _uri(s).startswith("pvc://") or (_matches(_PVC, _uri(s)) and _within(_uri(s))),
    ),
    Rule(
        "SmallModel", _SOURCE,
        f"!self.uri.startsWith('https://') || self.uri.matches('^{_HTTPS}$')",
        f"{_SOURCE}.uri", "`spec.source.uri` must be https://HOST/FILE, without a user name or password in it.",
        lambda s: not _uri(s).startswith("https://") or _matches(_HTTPS, _uri(s)),
    ),
    Rule(
        "SmallModel", _SOURCE,
        "!self.uri.startsWith('oci://') || !has(self.sha256) || self.sha256 == ''",
        f"{_SOURCE}.sha256",
        "`spec.source.sha256` must be empty with oci://: the digest in `spec.source.uri` already pins it.",
        lambda s: not _uri(s).startswith("oci://") or not s.get("sha256"),
    ),
    Rule(
        "SmallModel", _SOURCE,
        "!has(self.path) || self.path == '' || !self.uri.startsWith('https://')",
        f"{_SOURCE}.path", "`spec.source.path` must be empty with https://: the address names the one file.",
        lambda s: not s.get("path") or not _uri(s).startswith("https://"),
    ),
    Rule(
        "SmallModel", _SOURCE,
        "!has(self.path) || (!self.path.startsWith('/') && !self.path.matches('(^|/)[.][.](/|$)'))",
        f"{_SOURCE}.path", "`spec.source.path` must be relative and must stay inside the volume.",
        lambda s: not str(s.get("path") or "").startswith("/") and _within(str(s.get("path") or "")),
    ),
    Rule(
        "SmallModel", "spec.engine",
        f"!has(self.args) || self.args.all(a, !({_FLAG} in {_cel_list(OWNED)}))",
        "spec.engine.args",
        "`spec.engine.args` must not set what the operator sets (model, alias, host, port, context, slots, threads, "
        "keys): use `spec.source`, `spec.engine.contextSize`, `spec.engine.parallelSlots` and "
        "`spec.compute.resources`.",
        lambda e: all(_flag(str(a)) not in OWNED for a in e.get("args") or []),
    ),
    Rule(
        "SmallModel", "spec.engine",
        f"!has(self.args) || self.args.all(a, !({_FLAG} in {_cel_list(OPENING)}) && "
        f"!{_FLAG}.matches('{OPENING_PATTERN}'))",
        "spec.engine.args",
        "`spec.engine.args` must not open the server (web UI, tools, MCP, RPC, file paths, downloads, logs of "
        "prompts).",
        lambda e: not any(_opens(_flag(str(a))) for a in e.get("args") or []),
    ),
    Rule(
        "SmallModel", "spec.engine",
        "!has(self.args) || self.args.all(a, !a.contains('$('))",
        "spec.engine.args",
        "`spec.engine.args` must not contain `$(`: Kubernetes would replace $(NAME) after the arguments were checked; "
        "write the value itself.",
        lambda e: all("$(" not in str(a) for a in e.get("args") or []),
    ),
    Rule(
        "SmallModel", "spec.engine",
        "!has(self.env) || self.env.all(e, !has(e.value) || !e.value.contains('$('))",
        "spec.engine.env",
        "`spec.engine.env` must not contain `$(` in a value: Kubernetes would replace $(NAME) after it was checked; "
        "write the value itself.",
        lambda e: all("$(" not in str(v.get("value") or "") for v in e.get("env") or []),
    ),
    Rule(
        "SmallModel", "spec.engine",
        "!has(self.env) || self.env.all(e, !["
        + ", ".join(f"'{p}'" for p in OWNED_ENVIRONMENT)
        + "].exists(p, e.name.startsWith(p)))",
        "spec.engine.env",
        f"`spec.engine.env` must not begin with {', '.join(OWNED_ENVIRONMENT)}: those change what the operator "
        "declares.",
        lambda e: all(not str(v.get("name") or "").startswith(OWNED_ENVIRONMENT) for v in e.get("env") or []),
    ),
    *(
        Rule(
            "SmallModel", "spec.compute.resources",
            f"!has(self.requests) || !has(self.requests.{name}) || !has(self.limits) || !has(self.limits.{name}) || "
            f"!isQuantity(self.requests.{name}) || !isQuantity(self.limits.{name}) || "
            f"quantity(self.requests.{name}).compareTo(quantity(self.limits.{name})) <= 0",
            f"spec.compute.resources.requests.{name}",
            f"`spec.compute.resources.requests.{name}` must be less than or equal to `limits.{name}`.",
            partial(_at_most, name),
        )
        for name in ("cpu", "memory")
    ),
    *(
        Rule(
            kind, f"{place}.tolerations[]",
            "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
            f"{place}.tolerations", "`value` of a toleration must be empty with operator Exists.",
            lambda t: t.get("operator") != "Exists" or not t.get("value"),
        )
        for kind, place in _TOLERATING
    ),
    *(
        Rule(
            kind, f"{place}.tolerations[]",
            "(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
            f"{place}.tolerations", "`key` of a toleration must be given, or `operator` must be Exists.",
            lambda t: bool(t.get("key")) or t.get("operator") == "Exists",
        )
        for kind, place in _TOLERATING
    ),
    *(
        Rule(
            kind, f"{place}.tolerations[]",
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            f"{place}.tolerations", "`tolerationSeconds` of a toleration must be unset unless `effect` is NoExecute.",
            lambda t: t.get("tolerationSeconds") is None or t.get("effect") == "NoExecute",
        )
        for kind, place in _TOLERATING
    ),
    *(
        Rule(
            kind, place,
            f"!has(self.nodeSelector) || self.nodeSelector.all(k, size(k) <= 317 && k.matches('^{_LABEL_KEY}$'))",
            f"{place}.nodeSelector", "`nodeSelector` must have label keys: [prefix/]name, the name at most 63 letters.",
            lambda c: all(len(k) <= 317 and _matches(_LABEL_KEY, k) for k in c.get("nodeSelector") or {}),
        )
        for kind, place in _TOLERATING
    ),
    *SOURCE_RULES,
    *SCALING_RULES,
    *LATENCY_RULES,
    *COST_RULES,
    *WEIGHTS_RULES,
    *QUANTIZATION_RULES,
    *ENGINE_RULES,
    *PRICE_RULES,
    *ADAPTER_RULES,
    *BOUNDARY_RULES,
    *ROUTE_RULES,
    *OUTSIDE_RULES,
    *RECOGNIZER_RULES,
    *CHOICE_RULES,
    *ROUTE_BUDGET_RULES,
    *TOOLS_RULES,
    *ESCALATION_RULES,
    *QUANTITY_RULES,
)  # fmt: skip
"""All rules in the order the API server evaluates them."""


def violations(obj: Value) -> list[Violation]:
    """What the rules have against an object. Wrong shapes are the schema's affair: they are passed over here."""
    if not isinstance(obj, Mapping) or obj.get("apiVersion") != API_VERSION:
        return []
    found = []
    for rule in RULES:
        if rule.kind != obj.get("kind"):
            continue
        for value in _values(obj, rule.at):
            try:
                fine = rule.holds(value)
            except (AttributeError, TypeError, ValueError):
                continue
            if not fine:
                found.append(Violation(rule.field, rule.says(value) if rule.says else rule.message))
    return found


def _values(obj: Value, at: str) -> list[Value]:
    values = [obj]
    for part in filter(None, at.split(".")):
        name, _, many = part.partition("[")
        values = [v.get(name) for v in values if isinstance(v, Mapping)]
        if many:
            values = [item for v in values if isinstance(v, list) for item in v]
    return [v for v in values if isinstance(v, Mapping)]
