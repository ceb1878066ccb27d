"""The static check: nothing is found where nothing leads out, every hole is found, and every hole is a real one."""

from pathlib import Path
from typing import Any

import pytest
from hack.envoy.validate import complaint
from tests.gateway.cases import CASES
from tests.gateway.holes import HOLES, STATE, Parts
from tests.gateway.test_golden import with_certificate

from smallmodel_operator.gateway.xds import Site, bootstrap, files
from smallmodel_operator.gateway.xds.within import leaks

SITE = Site()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("refuse", [False, True])
def test_nothing_leads_out(name: str, refuse: bool) -> None:
    site = Site(refuse=refuse)
    assert leaks(CASES[name], site, {"bootstrap.json": bootstrap(site), **files(CASES[name], site)}) == []


def test_nothing_leads_out_of_what_holes_are_made_in() -> None:
    assert leaks(STATE, SITE, Parts(SITE).all()) == []


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_is_found(name: str) -> None:
    parts = Parts(SITE)
    HOLES[name](parts)
    found = leaks(STATE, SITE, parts.all())
    assert found, "it would be written"


@pytest.mark.parametrize("name", HOLES)
def test_the_hole_is_one_that_envoy_takes(name: str, tmp_path: Path) -> None:
    """What it refuses anyway would prove nothing about the check."""
    parts = Parts(with_certificate(tmp_path))
    HOLES[name](parts)
    assert complaint(parts.bootstrap, parts.files, tmp_path) == ""


def found(name: str) -> str:
    parts = Parts(SITE)
    HOLES[name](parts)
    return "\n".join(leaks(STATE, SITE, parts.all()))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "foreign endpoint",
            "listener http -> routes models -> route support/bot|bot -> cluster support/bot: 203.0.113.9:8080 is no",
        ),
        (
            "weighted clusters",
            "listener http -> routes models -> route support/bot|bot -> cluster away: 203.0.113.9:443 stands",
        ),
        ("mirror", "listener http -> routes models -> route support/bot|bot -> cluster away: 203.0.113.9:443 stands"),
        ("Lua calls a cluster", "filter door -> Lua: a text that is not ours; it uses httpCall"),
        ("keys from a server", "filter envoy.filters.http.jwt_authn -> provider cluster: field `remote_jwks`"),
        ("ext_authz", "listener http -> filter envoy.filters.network.http_connection_manager -> filter envoy.filters"),
        ("names resolved strictly", "route support/bot|bot -> cluster away: 'STRICT_DNS' is none of EDS, STATIC"),
        ("header a caller can bring", "a caller may choose the cluster with header 'x-cluster'"),
        ("configuration from elsewhere", "it is configured by '/tmp/rds.json', which was not checked"),
        ("agent elsewhere", "bootstrap -> cluster agent"),
    ],
)
def test_a_finding_names_the_path(name: str, said: str) -> None:
    assert said in found(name)


def test_a_model_does_not_reach_another_ones_pods() -> None:
    state = CASES["access"]
    made: dict[str, Any] = files(state, SITE)
    own, other = "xds/eds/support.bot.json", "xds/eds/crm.notes.json"
    resource = made[own]["resources"][0]
    made[other] = {"resources": [{**resource, "cluster_name": "crm/notes"}]}
    (said,) = leaks(state, SITE, {"bootstrap.json": bootstrap(SITE), **made})
    assert "route crm/notes|notes -> cluster crm/notes: 127.0.0.1:8080 is no pod of this model" in said
    (said,) = leaks(state, SITE, {other: made[other]}, "crm/notes")
    assert "127.0.0.1:8080 is no pod of this model and no gateway" in said


def test_a_file_of_endpoints_is_of_the_model_it_is_for() -> None:
    state = CASES["one-model"]
    made = files(state, SITE)
    assert leaks(state, SITE, {"x": made["xds/eds/support.bot.json"]}, "support/bot") == []
    assert leaks(state, SITE, {"x": made["xds/eds/support.bot.json"]}, "support/other")
    assert leaks(state, SITE, {"x": made["xds/cds.json"]}, "support/bot")


def test_what_is_not_there_was_not_checked() -> None:
    state = CASES["one-model"]
    made = {"bootstrap.json": bootstrap(SITE), **files(state, SITE)}
    for gone in ("xds/cds.json", "xds/rds.json", "xds/lds.json", "xds/sds.json", "xds/eds/support.bot.json"):
        rest = {name: value for name, value in made.items() if name != gone}
        assert bool(leaks(state, SITE, rest)) is (gone != "xds/sds.json"), gone
    tls = CASES["tls"]
    made = {"bootstrap.json": bootstrap(SITE), **files(tls, SITE)}
    del made["xds/sds.json"]
    assert any("sds.json', which was not checked" in said for said in leaks(tls, SITE, made))
