"""What an engine is to the operator, and the three there are. An engine is one module that has all of this.

ENGINES["VLLM"].container(request, key_folder)      # the engine's container, probes and drain included
unsupported(request, facts)                         # why it cannot serve these weights, or None
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.core.engine import LLAMA_CPP, TGI, VLLM
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.serving import llamacpp, tgi, vllm
from smallmodel_operator.serving.types import ServingRequest


class Engine(Protocol):
    """One server inside the pod."""

    @property
    def FORMAT(self) -> str:  # noqa: N802 - a module's constant
        """What it serves."""

    @property
    def QUANTIZATIONS(self) -> frozenset[str] | None:  # noqa: N802
        """What `status.weights.quantization` may be; None: every type of its format."""

    @property
    def METRICS(self) -> Mapping[str, str]:  # noqa: N802
        """What is asked of it (metrics.py) -> name of its own metric at /metrics."""

    def container(self, request: ServingRequest) -> dict[str, Any]:
        """The container without resources, security and the mounts all engines have. Probes ask /health."""

    def keyed(self, container: dict[str, Any], request: ServingRequest, folder: str) -> None:
        """Make it ask for the engine key: in `folder` of the container, and entry of a Secret."""

    def room(self, request: ServingRequest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Volumes and mounts of its own: what it writes, besides the weights it reads."""


ENGINES: Final[Mapping[str, Engine]] = {LLAMA_CPP: llamacpp, VLLM: vllm, TGI: tgi}


def unsupported(engine: str, facts: WeightsFacts) -> Refused | None:
    """Why an engine cannot serve weights of these facts."""
    known = ENGINES[engine].QUANTIZATIONS
    if known is None or facts.quantization in known:
        return None
    return Refused(
        Reason.WEIGHTS_INVALID,
        f"Engine {engine!r} does not serve weights of type {facts.quantization!r}; it serves "
        f"{', '.join(sorted(known))}. Take such weights, or another engine.",
        condition=Condition.WEIGHTS_READY,
    )
