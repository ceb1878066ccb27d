"""Whatever stands in a cluster: our readers answer or refuse, they never crash."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from tests import strategies
from tests.fakes import objects

from smallmodel_operator.core.diff import differences
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.remember import facts_of
from smallmodel_operator.core.units import quantity
from smallmodel_operator.resolve import Site, parse, resolve
from smallmodel_operator.serving import trouble

text = st.text(max_size=30)
states = st.sampled_from(["", "ErrImagePull", "CrashLoopBackOff", "ContainerCreating", "RunContainerError", "Odd"])
reasons = st.sampled_from(["OOMKilled", "Error", ""])
ended = st.fixed_dictionaries({}, optional={"exitCode": st.integers(-1, 255), "reason": reasons, "message": text})
waiting = st.fixed_dictionaries({}, optional={"reason": states, "message": text})
containers = st.fixed_dictionaries(
    {},
    optional={
        "ready": st.booleans(),
        "restartCount": st.integers(0, 9),
        "state": st.fixed_dictionaries({}, optional={"waiting": waiting, "terminated": ended}),
        "lastState": st.fixed_dictionaries({}, optional={"terminated": ended}),
    },
)
conditions = st.fixed_dictionaries(
    {"type": st.sampled_from(["Ready", "PodScheduled", "Odd"])},
    optional={
        "status": st.sampled_from(["True", "False", "Unknown"]),
        "reason": st.sampled_from(["Unschedulable", "Odd"]),
        "message": text,
        "lastTransitionTime": st.just("2026-11-21T11:00:00Z"),
    },
)
pods = st.fixed_dictionaries(
    {"metadata": st.fixed_dictionaries({"name": text}, optional={"deletionTimestamp": text})},
    optional={
        "spec": st.fixed_dictionaries({}, optional={"containers": st.lists(st.just({"name": "c"}), max_size=2)}),
        "status": st.fixed_dictionaries(
            {},
            optional={
                "phase": st.sampled_from(["Pending", "Running", "Failed", "Succeeded", "Unknown"]),
                "reason": st.sampled_from(["Evicted", "Odd"]),
                "conditions": st.lists(conditions, max_size=3),
                "containerStatuses": st.lists(containers, max_size=3),
            },
        ),
    },
)


@given(st.lists(pods, max_size=4), st.one_of(st.none(), st.integers(1, 2**40)))
def test_no_pod_crashes_the_search_for_trouble(seen: list[Any], largest: int | None) -> None:
    found = trouble.find(seen, None, objects.NOW, largest)
    if found:
        assert found.message
        assert "\n" not in found.message
        assert found.stuck or found.look_again_seconds is None or found.look_again_seconds >= 1


def refusal_of(spec: Any, profile: Any) -> str:
    """Why it is refused, or "understood". Any other exception is the bug these tests look for."""
    body = objects.model()
    body["spec"] = spec
    try:
        resolve(body, parse(body), profile, Site())
    except Refused as refused:
        return refused.message
    return "understood"


FIELDS = st.sampled_from(["source", "engine", "compute", "scaling", "replicas", "suspend"])


@given(st.one_of(strategies.json_values, st.dictionaries(FIELDS, strategies.json_values)))
@example({"source": {"uri": "x" * 2000}})
@example({"source": {"uri": "oci://a/b"}, "replicas": 10**30})
@example({"source": {"uri": "oci://a/b"}, "compute": {"resources": {"requests": {"cpu": "1e999"}}}})
@example({"source": {"uri": "oci://a/b"}, "compute": {"resources": {"limits": {"cpu": "0"}}}})
def test_a_spec_is_understood_or_refused(spec: Any) -> None:
    assert refusal_of(spec, objects.profile())


@given(strategies.json_values)
def test_a_profile_is_understood_or_refused(spec: Any) -> None:
    assert refusal_of(objects.model()["spec"], {"spec": spec})


trees = st.dictionaries(text, strategies.json_values, max_size=4)


@given(trees, trees)
def test_any_two_objects_can_be_compared(wanted: dict[str, Any], live: dict[str, Any]) -> None:
    assert all(isinstance(p, str) for p in differences(wanted, live))
    assert differences(wanted, wanted) == []


@given(text)
def test_a_quantity_is_read_or_refused(value: str) -> None:
    try:
        read = str(quantity(value))
    except ValueError as error:
        read = str(error)
    assert read


remembered = st.dictionaries(
    st.sampled_from(["artifact", "fileBytes", "layers", "name"]), st.one_of(st.integers(), text)
)


@given(st.one_of(st.none(), remembered))
def test_any_remembered_weights_are_read_or_not_there(weights: Any) -> None:
    facts = facts_of({"weights": weights})
    assert facts is None or facts.artifact
