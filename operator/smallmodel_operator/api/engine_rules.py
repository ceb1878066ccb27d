"""Rules of engines: what VLLM and TGI take, and which hardware they need."""

from typing import Final

from smallmodel_operator.api.flags import ALLOWED_ARGS, ALLOWED_ENVIRONMENT
from smallmodel_operator.api.rule import Rule, Value

ON_ACCELERATORS: Final = ("VLLM", "TGI")
_GPU: Final = "['VLLM', 'TGI']"
_FLAG: Final = "a.split('=')[0].replace('_', '-')"


def _on_gpu(spec: Value) -> bool:
    return (spec.get("engine") or {}).get("name") in ON_ACCELERATORS


def _flags(engine: Value) -> list[str]:
    return [str(a).split("=")[0].replace("_", "-") for a in engine.get("args") or [] if str(a).startswith("-")]


def _cel_list(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{v}'" for v in values) + "]"


_OTHER: Final = f"!has(self.engine) || !has(self.engine.name) || !(self.engine.name in {_GPU})"
ENGINE_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "ComputeProfile",
        "spec",
        f"has(self.accelerator) || !self.engines.exists(e, e.name in {_GPU})",
        "spec.accelerator",
        "`spec.accelerator` must be set where `spec.engines` names VLLM or TGI: they are run on accelerators only.",
        lambda s: bool(s.get("accelerator")) or not any(e["name"] in ON_ACCELERATORS for e in s["engines"]),
    ),
    Rule(
        "SmallModel",
        "spec",
        f"{_OTHER} || ['oci://', 'pvc://', 'hf://'].exists(s, self.source.uri.startsWith(s))",
        "spec.source.uri",
        "`spec.source.uri` must begin with oci://, pvc:// or hf:// with VLLM and TGI: they serve a folder of "
        "safetensors files, and from https:// and s3:// one GGUF file is fetched.",
        lambda s: not _on_gpu(s) or str(s["source"]["uri"]).startswith(("oci://", "pvc://", "hf://")),
    ),
    Rule(
        "SmallModel",
        "spec",
        f"{_OTHER} || !has(self.source.sha256) || self.source.sha256 == ''",
        "spec.source.sha256",
        "`spec.source.sha256` must be empty with VLLM and TGI: it is the sum of one file, and they serve a folder; "
        "oci:// pins it by its digest, hf:// by its commit, and `spec.source.verification` checks a signed one.",
        lambda s: not _on_gpu(s) or not s["source"].get("sha256"),
    ),
    Rule(
        "SmallModel",
        "spec",
        f"{_OTHER} || ((!has(self.source.path) || !self.source.path.endsWith('.gguf')) && "
        "!self.source.uri.endsWith('.gguf'))",
        "spec.source.path",
        "`spec.source.path` must name a folder with VLLM and TGI: they serve safetensors files, no GGUF.",
        lambda s: not _on_gpu(s) or not any(str(s["source"].get(k) or "").endswith(".gguf") for k in ("path", "uri")),
    ),
    *(
        Rule(
            "SmallModel",
            "spec.engine",
            f"!has(self.name) || self.name != '{name}' || !has(self.args) || "
            f"self.args.all(a, !a.startsWith('-') || {_FLAG} in {_cel_list(allowed)})",
            "spec.engine.args",
            f"`spec.engine.args` of {name} must be among {', '.join(allowed)}: any other is set by the operator, opens "
            "the server, or is not known to be harmless.",
            lambda e, name=name, allowed=allowed: (  # type: ignore[misc]
                e.get("name") != name or all(flag in allowed for flag in _flags(e))
            ),
        )
        for name, allowed in ALLOWED_ARGS.items()
    ),
    Rule(
        "SmallModel",
        "spec.engine",
        f"!has(self.name) || !(self.name in {_GPU}) || !has(self.env) || self.env.all(e, "
        + "["
        + ", ".join(f"'{p}'" for p in ALLOWED_ENVIRONMENT)
        + "].exists(p, e.name.startsWith(p)))",
        "spec.engine.env",
        f"`spec.engine.env` of VLLM and TGI must begin with {', '.join(ALLOWED_ENVIRONMENT)}: they read most of their "
        "settings from the environment, too.",
        lambda e: (
            e.get("name") not in ON_ACCELERATORS
            or all(str(v.get("name") or "").startswith(ALLOWED_ENVIRONMENT) for v in e.get("env") or [])
        ),
    ),
)
