"""The cloud's prices in the chart: an example that is right, bounded, and may be left out."""

from typing import Any

import yaml
from tests.chart.conftest import Objects, Render

from smallmodel_operator.api.names import PRICES, PRICES_KEY
from smallmodel_operator.cost.pricelist import price_list


def listed(objects: Objects) -> list[dict[str, Any]]:
    return [yaml.safe_load(o["data"][PRICES_KEY]) for o in objects if o["metadata"]["name"] == PRICES]


def test_the_example_is_a_price_list_that_says_what_it_is(render: Render) -> None:
    [value] = listed(render("minimal"))
    found = price_list(value)
    assert "example" in found.source
    assert found.compared == found.prices[0]
    assert all(p.prompt <= p.generated for p in found.prices)


def test_values_reach_it(render: Render) -> None:
    [value] = listed(render("full"))
    found = price_list(value)
    assert found.compare_with == "gpt-4o-mini"
    assert found.within("EUR").compared.prompt < found.compared.prompt


def test_without_prices_there_is_none_so_that_one_may_be_kept_by_hand(render: Render) -> None:
    assert listed(render("minimal", "--set-json", "cost.cloudPrices.prices=[]")) == []
