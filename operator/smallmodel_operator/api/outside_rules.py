"""Rules of `spec.targets[].external` and `spec.boundary` of a ModelRoute."""

import re
from typing import Final

from smallmodel_operator.api.rule import Rule, Value

_LABEL: Final = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_PORT: Final = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
URL: Final = f"https://({_LABEL}[.])+[a-z]([-a-z0-9]{{0,61}}[a-z0-9])?(:({_PORT}))?(/[-A-Za-z0-9._~]+)*/?"
"""What the egress can hold a host to; boundary/declared.py checks the same of what it is told."""
_STEPS: Final = "/[.][.]?(/|$)"


def _items(value: Value, field: str) -> list[Value]:
    found = value.get(field) if isinstance(value, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _has(value: Value, field: str) -> bool:
    return value.get(field) is not None


def _url(external: Value) -> bool:
    url = str(external.get("url") or "")
    return re.fullmatch(URL, url) is not None and re.search(_STEPS, url) is None


def _within(spec: Value) -> Value:
    found = spec.get("boundary")
    return found if isinstance(found, dict) else {}


def _keys(spec: Value) -> set[str]:
    return {str(key.get("name")) for key in _items(spec.get("access"), "apiKeys")}


OUTSIDE_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "ModelRoute",
        "spec.targets[]",
        "has(self.smallModelRef) != has(self.external)",
        "spec.targets",
        "A target must have exactly one of `smallModelRef` (a SmallModel of the cluster) and `external` (an API "
        "outside of it).",
        lambda t: _has(t, "smallModelRef") != _has(t, "external"),
    ),
    Rule(
        "ModelRoute",
        "spec.targets[]",
        "!has(self.external) || !has(self.weight)",
        "spec.targets",
        "`weight` must be unset on a target with `external`: what must stay inside could not go by it. Have a rule "
        "name the target, or callers.",
        lambda t: not _has(t, "external") or not _has(t, "weight"),
    ),
    Rule(
        "ModelRoute",
        "spec.targets[].external",
        f"self.url.matches('^{URL}$') && !self.url.matches('{_STEPS}')",
        "spec.targets.external.url",
        "`external.url` must be like https://api.example.com/v1: https, a DNS name in lower case and no address, a "
        "port between 1 and 65535 or none, plain words between slashes, and no credentials, query or fragment.",
        _url,
    ),
    Rule(
        "ModelRoute",
        "spec.targets[].external",
        "!self.url.matches('/chat/completions/?$')",
        "spec.targets.external.url",
        "`external.url` must end before /chat/completions, like https://api.example.com/v1: the rest is added.",
        lambda e: re.search(r"/chat/completions/?\Z", str(e.get("url") or "")) is None,
    ),
    Rule(
        "ModelRoute",
        "spec",
        "self.targets.exists(t, has(t.smallModelRef))",
        "spec.targets",
        "One of `spec.targets` must have `smallModelRef`: requests that must stay inside need somewhere to go.",
        lambda s: any(_has(t, "smallModelRef") for t in _items(s, "targets")),
    ),
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.default) || !self.targets.exists(t, t.name == self.default && has(t.external))",
        "spec.default",
        "`spec.default` must name a target with `smallModelRef`: it gets what must stay inside. Have a rule name the "
        "one outside, or callers.",
        lambda s: not any(t.get("name") == s.get("default") and _has(t, "external") for t in _items(s, "targets")),
    ),
    Rule(
        "ModelRoute",
        "spec.boundary.trusted[]",
        "[has(self.namespace), has(self.serviceAccount), has(self.apiKey)].filter(given, given).size() == 1",
        "spec.boundary.trusted",
        "An entry of `spec.boundary.trusted` must have exactly one of `namespace`, `serviceAccount` and `apiKey`.",
        lambda t: sum(_has(t, field) for field in ("namespace", "serviceAccount", "apiKey")) == 1,
    ),
    Rule(
        "ModelRoute",
        "spec.boundary.trusted[]",
        "(has(self.labels) && size(self.labels) > 0) || (has(self.mayLabel) && size(self.mayLabel) > 0)",
        "spec.boundary.trusted",
        "An entry of `spec.boundary.trusted` must give `labels`, `mayLabel` or both: without a label nothing leaves.",
        lambda t: bool(t.get("labels") or t.get("mayLabel")),
    ),
    Rule(
        "ModelRoute",
        "spec",
        "!has(self.boundary) || !has(self.boundary.trusted) || self.boundary.trusted.all(t, !has(t.apiKey) || "
        "(has(self.access) && has(self.access.apiKeys) && self.access.apiKeys.exists(k, k.name == t.apiKey)))",
        "spec.boundary.trusted",
        "`apiKey` of an entry of `spec.boundary.trusted` must be the name of one of `spec.access.apiKeys`.",
        lambda s: all(str(t.get("apiKey")) in _keys(s) for t in _items(_within(s), "trusted") if _has(t, "apiKey")),
    ),
)
