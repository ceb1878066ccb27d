"""Rules of spec.adapters."""

import re
from typing import Final

from smallmodel_operator.api.rule import Rule, Value

_IMAGE: Final = "oci://[a-zA-Z0-9.:_/-]+@sha256:[0-9a-f]{64}"
_FILE: Final = "[A-Za-z0-9][A-Za-z0-9._/-]*[.]gguf"
_OUT: Final = "(^|/)[.][.]?(/|$)"
_SOME: Final = "!has(self.adapters) || size(self.adapters) == 0"


def _source(adapter: Value, key: str) -> str:
    return str(adapter["source"].get(key) or "")


def _is_file(path: str) -> bool:
    return re.fullmatch(_FILE, path) is not None and not re.search(_OUT, path) and "//" not in path


def _declares(spec: Value) -> bool:
    resources = (spec.get("compute") or {}).get("resources") or {}
    return bool((resources.get("requests") or {}).get("memory"))


ADAPTER_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "SmallModel",
        "spec.adapters[]",
        f"self.source.uri.matches('^{_IMAGE}$')",
        "spec.adapters",
        "`source.uri` of an adapter must be oci://REGISTRY/REPOSITORY@sha256:<64 hex digits>: adapters are taken from "
        "images by digest, nothing else is supported yet.",
        lambda a: re.fullmatch(_IMAGE, _source(a, "uri")) is not None,
    ),
    Rule(
        "SmallModel",
        "spec.adapters[]",
        f"self.source.path.matches('^{_FILE}$') && !self.source.path.matches('{_OUT}') && "
        "!self.source.path.contains('//')",
        "spec.adapters",
        "`source.path` of an adapter must be the path of a *.gguf file inside the image, of letters, digits and . _ - "
        "/ (llama.cpp's convert_lora_to_gguf.py makes one).",
        lambda a: _is_file(_source(a, "path")),
    ),
    Rule(
        "SmallModel",
        "spec",
        f"{_SOME} || !has(self.engine) || !has(self.engine.name) || self.engine.name == 'LlamaCpp'",
        "spec.adapters",
        "`spec.adapters` must be empty unless `spec.engine.name` is LlamaCpp; other engines do not load them yet.",
        lambda s: not s.get("adapters") or (s.get("engine") or {}).get("name", "LlamaCpp") == "LlamaCpp",
    ),
    Rule(
        "SmallModel",
        "spec",
        f"{_SOME} || !has(self.quantization) || (has(self.compute) && has(self.compute.resources) && "
        "has(self.compute.resources.requests) && has(self.compute.resources.requests.memory))",
        "spec.compute.resources.requests.memory",
        "`spec.compute.resources.requests.memory` must be set with `spec.adapters` and `spec.quantization`: the choice "
        "of a type does not count adapters. Add their files' sizes to what `status.memory` says without them.",
        lambda s: not s.get("adapters") or s.get("quantization") is None or _declares(s),
    ),
)
