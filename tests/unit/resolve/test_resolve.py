"""resolve: who wins, what is missing, what is derived."""

from typing import Any

import pytest
from tests.fakes import objects

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.v1alpha1.computeprofile import ComputeProfileSpec, ProfileEngine
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.resolve import Resolved, Site, parse, resolve

SITE = Site()


def resolved(body: dict[str, Any] | None = None, profile: dict[str, Any] | None = None, **spec: Any) -> Resolved:
    body = body or objects.model(**spec)
    return resolve(body, parse(body), profile or objects.profile(), SITE)


def refusal(body: dict[str, Any], profile: dict[str, Any] | None) -> Refused:
    with pytest.raises(Refused) as caught:
        resolve(body, parse(body), profile, SITE)
    return caught.value


def test_defaults_come_from_the_schema_and_the_profile() -> None:
    r = resolved()
    assert (r.context_size, r.parallel_slots, r.replicas, r.suspended, r.off) == (4096, 4, 1, False, False)
    assert (r.cpu_request, r.cpu_limit, r.threads) == ("100m", None, 1)
    assert (r.memory_request, r.memory_limit) == (None, None)
    assert r.engine_image == "registry.test/llama@sha256:" + "e" * 64
    assert r.url == "http://bot.support.svc.cluster.local/v1"


def test_the_model_wins_over_the_profile() -> None:
    profile = objects.profile(
        perReplica={"cpu": "3", "memoryLimit": "4Gi"},
        nodeSelector={"disk": "ssd", "zone": "a"},
        tolerations=[{"key": "pool", "operator": "Exists"}],
    )
    r = resolved(
        profile=profile,
        engine={"image": "registry.test/own:1"},
        compute={
            "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            "nodeSelector": {"zone": "b"},
            "tolerations": [{"key": "gpu", "value": "x"}],
        },
    )
    assert r.engine_image == "registry.test/own:1"
    assert (r.cpu_request, r.memory_request, r.memory_limit) == ("500m", "1Gi", "2Gi")
    assert r.node_selector == {"disk": "ssd", "zone": "b"}
    assert r.tolerations == ({"key": "pool", "operator": "Exists"}, {"key": "gpu", "value": "x"})


def test_the_profile_fills_what_the_model_leaves_open() -> None:
    r = resolved(profile=objects.profile(perReplica={"cpu": "2500m", "memoryLimit": "4Gi"}))
    assert (r.cpu_request, r.threads, r.memory_limit) == ("2500m", 3, "4Gi")


@pytest.mark.parametrize(
    ("resources", "request_", "threads"),
    [
        ({}, "100m", 1),
        ({"requests": {"cpu": "1500m"}}, "1500m", 2),
        ({"limits": {"cpu": "3"}}, "3", 3),
        ({"requests": {"cpu": "500m"}, "limits": {"cpu": "4"}}, "500m", 4),
        ({"requests": {"cpu": "3001m"}}, "3001m", 4),
    ],
)
def test_threads_are_the_cpu_rounded_up(resources: dict[str, Any], request_: str, threads: int) -> None:
    r = resolved(compute={"resources": resources})
    assert (r.cpu_request, r.threads) == (request_, threads)


@pytest.mark.parametrize(
    ("spec", "replicas", "suspended"),
    [({"replicas": 3}, 3, False), ({"replicas": 3, "suspend": True}, 0, True), ({"replicas": 0}, 0, False)],
)
def test_suspend_wins_over_replicas(spec: dict[str, Any], replicas: int, suspended: bool) -> None:
    r = resolved(**spec)
    assert (r.replicas, r.suspended, r.off) == (replicas, suspended, replicas == 0)


def test_a_missing_profile_is_named_with_the_way_out() -> None:
    refused = refusal(objects.model(compute={"profileRef": {"name": "gpu-large"}}), None)
    assert refused.reason is Reason.PROFILE_NOT_FOUND
    assert "'gpu-large'" in refused.message
    assert "kubectl get computeprofiles" in refused.message


def test_a_profile_without_engines_is_refused_by_its_field() -> None:
    refused = refusal(objects.model(), objects.profile(engines=[]))
    assert refused.reason is Reason.INVALID_SPEC
    assert "ComputeProfile 'default': `spec.engines`" in refused.message


def test_a_profile_without_the_models_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one engine in the API every valid profile has it; the next engine makes this reachable."""
    other = ComputeProfileSpec(engines=[ProfileEngine.model_construct(name="VLLM", image="x")])
    monkeypatch.setattr("smallmodel_operator.resolve._profile", lambda spec, profile: other)
    refused = refusal(objects.model(), objects.profile())
    assert refused.reason is Reason.ENGINE_NOT_IN_PROFILE
    assert "no image for engine 'LlamaCpp'" in refused.message
    assert "`spec.engines`" in refused.message


def test_a_broken_profile_is_the_users_to_mend() -> None:
    refused = refusal(objects.model(), objects.profile(perReplica={"cpu": "lots"}))
    assert refused.reason is Reason.INVALID_SPEC
    assert "`spec.perReplica.cpu`" in refused.message


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"replicas": -1}, "spec.replicas"),
        ({"engine": {"name": "Ollama"}}, "spec.engine.name"),
        ({"engine": {"contextSize": 1}}, "spec.engine.contextSize"),
        ({"source": {}}, "spec.source.uri"),
        ({"source": {"uri": "https://x/m.gguf", "sha256": "abc"}}, "spec.source.sha256"),
    ],
)
def test_a_field_that_does_not_fit_is_named(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused, match=f"`{field}`") as caught:
        parse(objects.model(**spec))
    assert caught.value.reason is Reason.INVALID_SPEC
    assert "CRDs" in caught.value.message


def test_unknown_fields_are_ignored() -> None:
    assert parse(objects.model(tomorrow={"x": 1})) == parse(objects.model())


@pytest.mark.parametrize(
    "engine",
    [{"args": ["$(KEY)"]}, {"args": ["--api-key=x"]}, {"env": [{"name": "LLAMA_ARG_HOST", "value": "x"}]}],
)
def test_what_a_later_rule_refuses_is_refused_in_a_stored_object_too(engine: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"spec\.engine\.") as refused:
        parse(objects.model(engine=engine))
    assert refused.value.reason is Reason.INVALID_SPEC
