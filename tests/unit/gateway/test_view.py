"""From objects to State: which endpoints count, which keys, and what is not believed."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.core import keys as core_keys
from smallmodel_operator.core.keys import Identity
from smallmodel_operator.gateway.pods import CONTROLLER, MANAGED_BY
from smallmodel_operator.gateway.state import Endpoint, Model
from smallmodel_operator.gateway.view import (
    PROOF_SECONDS,
    Keys,
    Part,
    Surroundings,
    doubtful,
    keys_of,
    merged,
    part_of,
    peers_of,
    state_of,
    still_proved,
    usable,
    waiting,
)
from smallmodel_operator.gateway.xds.scripts import DOOR, script


def endpoint(address: str = "10.0.0.1", ready: bool = True, terminating: bool = False) -> Endpoint:
    return Endpoint(address, 8080, "pod", ready, terminating)


def a_slice(name: str = "bot", service: str = "", **conditions: bool) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"{name}-x1",
            "namespace": "support",
            "labels": {
                "smallmodel.dev/model": name,
                "kubernetes.io/service-name": service or f"{name}-pods",
                MANAGED_BY: CONTROLLER,
            },
        },
        "addressType": "IPv4",
        "ports": [{"port": 8080}],
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": conditions, "targetRef": dict(POD)}],
    }


POD = {"kind": "Pod", "namespace": "support", "name": "pod"}


@pytest.mark.parametrize(
    ("before", "now", "doubted"),
    [
        ("abcd", "ab", False),
        ("abcd", "a", True),
        ("abcd", "", True),
        ("abcd", "xyzw", True),
        ("abc", "ab", False),
        ("ab", "b", False),
        ("a", "", True),
        ("", "", False),
        ("", "ab", False),
    ],
)
def test_a_list_that_lacks_more_than_half_is_doubted(before: str, now: str, doubted: bool) -> None:
    assert doubtful(before, now) is doubted


@given(st.sets(st.integers()), st.sets(st.integers()))
def test_what_only_adds_is_never_doubted(before: set[int], more: set[int]) -> None:
    assert not doubtful(before, before | more)


def test_only_slices_of_the_models_own_headless_service_count() -> None:
    assert part_of(a_slice(ready=True)) == Part("support/bot", (Endpoint("10.0.0.1", 8080, "pod", True, False),))
    assert part_of(a_slice(service="stranger", ready=True)) == Part("", ())
    assert part_of({**a_slice(ready=True), "addressType": "FQDN"}) == Part("", ())
    assert part_of({"metadata": {"name": "x", "namespace": "support"}}) == Part("", ())


def forged(**endpoint: Any) -> dict[str, Any]:
    """A slice that somebody wrote: right but for this."""
    found = a_slice(ready=True)
    found["endpoints"][0] |= endpoint
    return found


@pytest.mark.parametrize(
    "endpoint",
    [
        {"targetRef": None},
        {"targetRef": {**POD, "kind": "Node"}},
        {"targetRef": {**POD, "namespace": "elsewhere"}},
        {"targetRef": {**POD, "name": ""}},
        {"addresses": ["169.254.169.254"]},
        {"addresses": ["fe80::1"]},
        {"addresses": ["fd00:ec2::254"]},
        {"addresses": ["168.63.129.16"]},
        {"addresses": ["224.0.0.1"]},
        {"addresses": ["0.0.0.0"]},
        {"addresses": ["api.example"]},
    ],
    ids=str,
)
def test_an_endpoint_is_a_pod_or_none(endpoint: dict[str, Any]) -> None:
    """Whoever may write slices in a namespace could name anything."""
    one = forged(**endpoint)
    one["endpoints"].append({"addresses": ["10.0.0.2"], "conditions": {"ready": True}, "targetRef": dict(POD)})
    part = part_of(one)
    assert [e.address for e in part.endpoints] == ["10.0.0.2"]
    assert part.foreign == tuple(one["endpoints"][0]["addresses"])


@pytest.mark.parametrize("keeper", ["endpointslicemirroring-controller.k8s.io", "me", None])
def test_only_what_kubernetes_found_counts(keeper: str | None) -> None:
    """Endpoints that somebody wrote are mirrored into slices: no pods stand behind those."""
    one = a_slice(ready=True)
    one["metadata"]["labels"][MANAGED_BY] = keeper
    assert part_of(one) == Part("support/bot", (), ("10.0.0.1",))


def test_an_address_in_two_slices_counts_as_its_better_one() -> None:
    old, new = endpoint(ready=False), endpoint(ready=True)
    for order in ((old, new), (new, old)):
        parts = [Part("support/bot", (e,)) for e in order]
        assert merged(parts) == {"support/bot": (new,)}
    assert merged([Part("", (new,))]) == {}


@pytest.mark.parametrize(
    ("ready", "terminating", "proved", "used"),
    [
        (True, False, False, True),
        (False, False, True, True),
        (False, False, False, False),
        (True, True, True, False),
        (False, True, True, False),
    ],
)
def test_requests_go_where_somebody_answers(ready: bool, terminating: bool, proved: bool, used: bool) -> None:
    one = endpoint(ready=ready, terminating=terminating)
    assert usable([one], {one.address} if proved else ()) == ((one,) if used else ())


def test_only_pods_on_their_way_up_are_waited_for() -> None:
    up, ready, down = endpoint(ready=False), endpoint("10.0.0.2"), endpoint("10.0.0.3", False, True)
    assert waiting([up, ready, down]) == (up,)


def test_the_kubelets_word_replaces_a_proof() -> None:
    """Once called ready, a later "not ready" is believed at once."""
    proofs = {"10.0.0.1": 100.0}
    assert still_proved(proofs, [endpoint(ready=False)], 101.0) == proofs
    assert still_proved(proofs, [endpoint(ready=True)], 101.0) == {}
    assert still_proved(proofs, [endpoint(ready=False, terminating=True)], 101.0) == {}
    assert still_proved(proofs, [], 101.0) == {}
    assert still_proved(proofs, [endpoint(ready=False)], 100.0 + PROOF_SECONDS + 1) == {}


def secret(**data: bytes) -> dict[str, Any]:
    return {"data": {k.replace("_", "-"): base64.b64encode(v).decode() for k, v in data.items()}}


def test_the_keys_secret_is_read() -> None:
    table = {"ab" * 32: Identity("support", "key:support/bot")}
    whole = {"data": {**secret(engine_master=b"m" * 32)["data"]}}
    whole["data"]["keys.json"] = base64.b64encode(core_keys.dump(table).encode()).decode()
    assert keys_of(whole) == Keys(table, b"m" * 32)
    assert "m" * 32 not in repr(keys_of(whole))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "'keys.json'"),
        ({"keys.json": "e30="}, "'engine-master'"),
        ({"keys.json": "!", "engine-master": "bQ=="}, "base64"),
        ({"keys.json": "e30=", "engine-master": "bQ=="}, "1 bytes"),
        ({"keys.json": "e30=", "engine-master": base64.b64encode(b"m" * 32).decode()}, "key table"),
    ],
)
def test_a_broken_keys_secret_says_what_is_wrong(data: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        keys_of({"data": data})


def test_a_gateway_is_not_its_own_peer() -> None:
    parts = [(endpoint("10.0.0.9"), endpoint("10.0.0.2")), (endpoint("10.0.0.3", ready=False),)]
    assert peers_of(parts, own="10.0.0.9") == ("10.0.0.2",)


def test_the_state_has_models_and_their_usable_endpoints_only() -> None:
    body = {"metadata": {"namespace": "support", "name": "bot", "uid": "u"}}
    endpoints = {"support/bot": (endpoint(), endpoint("10.0.0.2", False)), "support/gone": (endpoint(),)}
    state = state_of([Model.of(body)], endpoints, {}, Keys(), Surroundings(peers=("10.0.0.7",), cluster_domain="c.l"))
    assert state.endpoints == {"support/bot": (endpoint(),)}
    assert list(state.models) == ["support/bot"]
    assert (state.peers, state.cluster_domain) == (("10.0.0.7",), "c.l")


def test_a_key_that_two_models_list_opens_both_and_nothing_else() -> None:
    def model(namespace: str, name: str, *keys: str) -> Model:
        access = {"apiKeys": [{"name": key, "secretRef": {"name": "s"}} for key in keys]}
        return Model.of({"metadata": {"namespace": namespace, "name": name, "uid": name}, "spec": {"access": access}})

    shared = Identity("", "key:crm/notes/partner", also=("key:support/bot/partner",))
    models = [
        model("support", "bot", "partner"),
        model("crm", "notes", "partner"),
        model("support", "other", "partner"),
    ]
    state = state_of(models, {}, {}, Keys({"a" * 64: shared}), Surroundings())
    opened = {t for t, m in state.models.items() if shared.name in m.access.allow}
    assert opened == {"support/bot", "crm/notes"}
    assert "key:support/bot/partner" in state.models["support/bot"].access.allow
    lacks, allow = "/v1/embeddings,/v1/rerank", "key:crm/notes/partner,key:support/bot/partner,ns:support"
    assert f"m support/bot 8388608 0 0 {lacks} {allow}" in script(DOOR, state)
