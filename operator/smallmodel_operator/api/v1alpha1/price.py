"""What a node of a ComputeProfile costs. Money is decimal text; a node is the whole machine."""

from typing import Annotated

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.common import ApiModel

Money = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$", min_length=1, max_length=16)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$", min_length=3, max_length=3)]
Factor = Annotated[str, StringConstraints(pattern=r"^[1-9](\.[0-9]{1,3})?$", min_length=1, max_length=5)]


class Price(ApiModel):
    """What one node costs: an hourly rate with everything in it, or what it was bought for."""

    hourly: Money | None = Field(
        default=None, description="An hour of one node, everything included. Instead of `purchase`."
    )
    purchase: Money | None = Field(default=None, description="What one node was bought for.")
    amortization_years: int | None = Field(
        default=None, ge=1, le=20, description="Years its purchase is spread over, hour by hour."
    )
    maintenance_percent_per_year: int | None = Field(
        default=None, ge=0, le=100, description="Maintenance of a year, in percent of `purchase`. Unset: none."
    )
    currency: Currency = Field(description="Code of the currency of every amount of this profile, like EUR.")


class Power(ApiModel):
    """What one node draws. Counted with `price.purchase`: an hourly rate includes it."""

    watts: int = Field(ge=1, le=100_000, description="Watts one node draws on average, awake.")
    pue: Factor = Field(
        default="1", description="Watts drawn in all for each of the node's (power usage effectiveness), from 1 on."
    )
    price_per_kilowatt_hour: Money = Field(description="Price of a kilowatt-hour.")
