"""What a SmallModel has cost, as its status says it. Amounts are decimal text."""

from pydantic import Field

from smallmodel_operator.api.v1alpha1.common import ApiModel


class CostStatus(ApiModel):
    """What the model has cost this month; rewritten at most hourly."""

    month: str = Field(default="", max_length=7, description="The month (UTC), like 2026-11.")
    at: str = Field(default="", max_length=32, description="When this was reckoned, to the second.")
    currency: str = Field(default="", max_length=3, description="Currency of the amounts.")
    month_to_date: str = Field(
        default="", max_length=32, description="Its share of the nodes, start-up and idle hours included."
    )
    month_end: str = Field(
        default="", max_length=32, description="What the month will come to, if the rest of it is as the days so far."
    )
    per_million_tokens: str = Field(
        default="", max_length=32, description="Of a million tokens, prompt and generated together."
    )
    per_million_prompt_tokens: str = Field(
        default="", max_length=32, description="Of a million tokens of prompts, where its speed is measured."
    )
    per_million_generated_tokens: str = Field(
        default="", max_length=32, description="Of a million generated tokens, which take longer."
    )
    cloud_equivalent: str = Field(
        default="", max_length=32, description="What the same tokens would have cost at the cloud's price list."
    )
    source: str = Field(default="", max_length=256, description="Where the prices come from.")
    watt_hours: str = Field(
        default="", max_length=32, description="Energy its pods drew this month, without the room's cooling (`pue`)."
    )
    watt_hours_per_thousand_tokens: str = Field(
        default="", max_length=32, description="Of 1,000 tokens, prompt and generated together."
    )
    energy_source: str = Field(
        default="",
        max_length=64,
        description="Where the energy comes from: Kepler (measured), CpuSeconds or RequestedShare (estimated by the "
        "profile's `power.watts`), with their parts where there are several.",
    )
