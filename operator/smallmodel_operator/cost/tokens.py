"""What tokens cost: a request's share of a replica, and prompt and generated tokens apart. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from smallmodel_operator.core.money import MILLION, BadCost, decimal


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second of one replica: read of prompts, and written with as many requests at once as help."""

    prefill: Decimal
    decode: Decimal

    @property
    def weight(self) -> Decimal:
        """Prompt tokens that take as long as one generated token."""
        return self.prefill / self.decode

    def seconds(self, prompt: Decimal, generated: Decimal) -> Decimal:
        """Of a replica that so many tokens take."""
        return prompt / self.prefill + generated / self.decode


@dataclass(frozen=True, slots=True)
class PerMillion:
    """Money of a million tokens; None: there were none. `split`: by measured speed; else all tokens count alike."""

    prompt: Decimal | None
    generated: Decimal | None
    all: Decimal | None
    split: bool = True


def measured(capacity: Mapping[str, Any] | None) -> Speed | None:
    """The speed in a SmallModel's `status.capacity`; None: not measured, or answers were too short to measure.

    Raises:
        BadCost: what stands there is no number.
    """
    said = capacity or {}
    prefill, decode = said.get("prefillTokensPerSecond"), said.get("decodeTokensPerSecond") or ()
    if not prefill or not decode:
        return None
    field = "status.capacity"
    fastest = max(decimal(f"{field}.decodeTokensPerSecond", d.get("tokensPerSecond")) for d in decode)
    speed = Speed(decimal(f"{field}.prefillTokensPerSecond", prefill), fastest)
    if not speed.prefill or not speed.decode:
        raise BadCost(f"{field} has a speed of 0: a model that writes nothing costs no tokens.")
    return speed


def per_million(amount: Decimal, prompt: int, generated: int, speed: Speed | None) -> PerMillion:
    """What tokens cost when `amount` was paid for so many: a generated token as many times a prompt token as it takes
    longer."""
    total = prompt + generated
    if not total:
        return PerMillion(None, None, None, speed is not None)
    weight = speed.weight if speed else Decimal(1)
    unit = amount * MILLION / (prompt + generated * weight)
    return PerMillion(
        unit if prompt else None, unit * weight if generated else None, amount * MILLION / total, speed is not None
    )
