"""The table of who talks to whom, and that what is made of it says the same."""

from typing import Any

import pytest
from hack.network import BEGIN, END, chart, documented

from smallmodel_operator.api.names import ENGINE_PORT, PROGRESS_PORT
from smallmodel_operator.boundary.rules import View, egress, ingress
from smallmodel_operator.boundary.table import (
    ANYBODY,
    CANARIES,
    DNS,
    DOWNLOADS,
    GATEWAYS,
    INSPECTIONS,
    MODELS,
    OPERATORS,
    PARTIES,
    RELEASE,
    ROWS,
    SOURCES,
    Party,
    Place,
)
from smallmodel_operator.cluster.signals import SIGNALS_PORT
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.xds import Site
from smallmodel_operator.runtime.settings import Settings


def test_no_row_stands_twice() -> None:
    pairs = [(row.who.name, row.whom.name, row.ports) for row in ROWS]
    assert len(set(pairs)) == len(pairs)


def test_who_sees_prompts_reaches_nothing_outside() -> None:
    """Gateways and models: no source, no name, so that not even a query for one leaves."""
    reached = {row.whom for row in ROWS if row.who in (GATEWAYS, MODELS, INSPECTIONS)}
    assert not reached & {DNS, SOURCES}
    assert not [row for row in ROWS if row.who in (MODELS, INSPECTIONS)]


def test_only_downloads_leave_and_only_the_operator_reaches_them() -> None:
    assert {row.who for row in ROWS if row.whom is SOURCES} == {DOWNLOADS}
    assert {row.who for row in ROWS if row.whom is DNS and not row.when.endswith((".url", "egress.enabled"))} == {
        DOWNLOADS,
        CANARIES,
    }
    assert {row.who for row in ROWS if row.when == "prometheus.url"} == {OPERATORS}
    assert {row.who for row in ROWS if row.whom is DOWNLOADS} == {OPERATORS}
    assert not [row for row in ROWS if row.whom in (INSPECTIONS, RELEASE)]


def test_everybody_reaches_only_what_asks_for_a_credential_unless_metrics_are_collected() -> None:
    open_to_all = {(row.whom.name, p.number) for row in ROWS if row.who is ANYBODY and not row.when for p in row.ports}
    assert open_to_all == {("gateways", 10080)}


def test_ports_are_those_that_are_listened_on() -> None:
    site, gateway, operator = Site(), GatewaySettings(), Settings()
    listened = {
        GATEWAYS: {site.http_port, site.https_port, gateway.gateway_activator_port, gateway.gateway_http_port},
        OPERATORS: {operator.http_port},
        MODELS: {ENGINE_PORT},
        DOWNLOADS: {PROGRESS_PORT},
    }
    for party, ports in listened.items():
        assert {p.number for row in ROWS if row.whom is party for p in row.ports} == ports
    assert gateway.gateway_http_port == SIGNALS_PORT


@pytest.mark.parametrize("party", PARTIES, ids=lambda p: p.name)
def test_a_row_counts_on_both_sides(party: Any) -> None:
    """What one may reach lets it in, wherever there is a policy that could refuse."""
    out = [row.whom for row in ROWS if row.who is party]
    for other in (o for o in out if o.place is not Place.BEYOND):
        view = View(inside_release=other.place is Place.SYSTEM, release_namespace="sys")
        let_in = [rule["from"][0] for _, rule in ingress(other, view)]
        assert any(_selects(peer.get("podSelector", {}), party) for peer in let_in)
    assert len(egress(party, View(True))) == len(out)


def _selects(selector: dict[str, Any], party: Party) -> bool:
    if party.marked:
        return selector == {"matchExpressions": [{"key": party.marked, "operator": "Exists"}]}
    return selector.get("matchLabels") == party.labels


def test_what_has_an_address_is_reached_there_and_nowhere_else() -> None:
    rules = [rule for _, rule in egress(CANARIES, View(True)) if {"protocol": "TCP", "port": 80} in rule["ports"]]
    assert rules == [{"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}], "ports": [{"protocol": "TCP", "port": 80}]}]


def test_the_page_keeps_what_people_wrote() -> None:
    page = f"# Title\n\n{BEGIN}\nold\n{END}\n\nMore.\n"
    made = documented(page)
    assert made.startswith("# Title\n\n")
    assert made.endswith(f"{END}\n\nMore.\n")
    assert "\nold\n" not in made
    assert documented(made) == made
    for row in ROWS:
        assert f"| {row.who.name} | {row.whom.name} |" in made
    with pytest.raises(ValueError, match="no '<!-- Generated"):
        documented("# Title\n")


def test_every_condition_is_a_value_of_the_chart() -> None:
    canary = {row.when for row in ROWS if row.who is CANARIES}
    assert canary == {"boundary.canary.enabled"}, "its policy is written by the operator, if it runs at all"
    for when in {row.when for row in ROWS} - {"", *canary}:
        assert f"{{{{- if .Values.{when} }}}}" in chart()
