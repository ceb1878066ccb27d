"""Whatever a gateway knows, its configuration leads nowhere but inside; and whatever is checked is judged."""

from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests import strategies
from tests.gateway.cases import CASES
from tests.gateway.holes import STATE

from smallmodel_operator.boundary.egress import findings
from smallmodel_operator.core.keys import Identity, hashed
from smallmodel_operator.gateway.routed import MODEL, Choice, Lead, Route
from smallmodel_operator.gateway.state import Access, Endpoint, Model, State
from smallmodel_operator.gateway.xds import Site, bootstrap, files
from smallmodel_operator.gateway.xds.within import inside, leaks
from smallmodel_operator.routing.policy import Match, Rule

SITE = Site()
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
endpoints = st.builds(Endpoint, addresses, st.integers(1, 65535), ready=st.just(True))
accesses = st.builds(
    Access,
    allow=st.frozensets(strategies.names.map("ns:{}".format), max_size=3),
    requests_per_minute=st.none() | st.integers(1, 10**6),
    max_body_bytes=st.integers(1, 32 * 2**20),
)
models = st.builds(
    Model,
    namespace=strategies.names,
    name=strategies.names,
    uid=st.uuids().map(str),
    access=accesses,
    digest=st.sampled_from(["", "sha256:1", "100%", "pvc:claim/a b"]),
    engine=st.sampled_from(["LlamaCpp", "VLLM", "TGI"]),
    off=st.booleans(),
    stalled=st.sampled_from(["", "NotGguf"]),
    max_wait=st.floats(1, 3600),
    request_key=st.integers(0, 3),
)


def routed(namespace: str, name: str, targets: list[str], outside: str, rules: bool) -> Route:
    """One whose targets are outside but for the first."""
    first, *rest = targets
    leads = (Lead(first, f"{namespace}/bot", 1), *(Lead(t, f"{namespace}/{name}/{t}", 0, outside) for t in rest))
    choice = Choice((Rule("r", Match(), targets[-1]),) if rules else (), first)
    return Route(namespace, name, "", Access(frozenset({f"ns:{namespace}"})), leads, choice=choice)


routes = st.builds(
    routed,
    strategies.names,
    strategies.names,
    st.lists(strategies.names, min_size=1, max_size=3, unique=True),
    st.from_regex(MODEL, fullmatch=True),
    st.booleans(),
)


@st.composite
def states(draw: st.DrawFn) -> State:
    found = draw(st.lists(models, max_size=5, unique_by=lambda m: m.target))
    pods = {m.target: tuple(draw(st.lists(endpoints, max_size=3, unique_by=lambda e: e.address))) for m in found}
    keys = {hashed(str(n)): Identity(m.namespace, f"key:{m.target}") for n, m in enumerate(found)}
    return State(
        models={m.target: m for m in found},
        endpoints=pods,
        keys=keys,
        engine_master=b"m" * 32,
        issuer=draw(st.sampled_from([None, CASES["tokens"].issuer])),
        peers=tuple(draw(st.lists(addresses, max_size=3, unique=True))),
        tls=draw(st.booleans()),
        routes={r.path: r for r in draw(st.lists(routes, max_size=2, unique_by=lambda r: r.path))},
        egress=tuple(draw(st.lists(endpoints, max_size=2, unique_by=lambda e: e.address))),
    )


def whole(state: State) -> dict[str, Any]:
    return {"bootstrap.json": bootstrap(SITE), **files(state, SITE)}


@given(states())
def test_nothing_leads_out_of_any_state(state: State) -> None:
    assert leaks(state, SITE, whole(state)) == []


@given(states(), addresses)
def test_an_address_nobody_named_is_found(state: State, foreign: str) -> None:
    """In whatever place of whatever model."""
    made = deepcopy(whole(state))
    named = {e.address for pods in (*state.endpoints.values(), state.egress) for e in pods} | set(state.peers)
    sockets = [s for name, value in made.items() if name.startswith("xds/eds/") for s in sockets_in(value)]
    for socket in sockets:
        before = socket["address"]
        socket["address"] = foreign
        assert foreign in named or leaks(state, SITE, made)
        socket["address"] = before


def sockets_in(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        found = [value["socket_address"]] if "socket_address" in value else []
        return found + [s for inner in value.values() for s in sockets_in(inner)]
    return [s for inner in value for s in sockets_in(inner)] if isinstance(value, list) else []


BASE = whole(STATE)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all parts of a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, part in inner for p in places(part, (*path, key)))]


PLACES = [p for p in places(BASE) if len(p) > 1]
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(PLACES), junk)
@settings(max_examples=100, deadline=None)
def test_any_junk_anywhere_is_judged(place: tuple[Any, ...], value: Any) -> None:
    made = deepcopy(BASE)
    parent = made
    for step in place[:-1]:
        parent = parent[step]
    parent[place[-1]] = value
    findings(made, inside(STATE, SITE))


@given(st.sampled_from([p for p in PLACES if p]))
@settings(max_examples=100, deadline=None)
def test_an_unknown_field_in_any_message_is_found(place: tuple[Any, ...]) -> None:
    """But where a message cannot lead anywhere whatever it says."""
    made = deepcopy(BASE)
    part = made
    for step in place:
        part = part[step]
    if not isinstance(part, dict):
        return
    part["grpc_service"] = {"google_grpc": {"target_uri": "api.example:443"}}
    if not findings(made, inside(STATE, SITE)):
        assert HARMLESS & set(place), place


HARMLESS = {
    "circuit_breakers", "headers_to_add", "request_headers_to_add", "response_headers_to_add", "triggers",
    "buffer_factory_config", "json_format", "status_code_filter", "response_flag_filter", "token_bucket",
    "descriptors", "request_headers", "retry_back_off", "tls_params", "jwt_cache_config", "from_headers",
    "requires", "append", "default_value", "retry_policy", "resource_monitors", "metadata_filter",
    "runtime_filter", "filter_metadata", "context_extensions", "timer_scale_factors", "actions", "status_on_error",
}  # fmt: skip
"""Whose types, or those of what is in them, lead nowhere whatever they say."""
