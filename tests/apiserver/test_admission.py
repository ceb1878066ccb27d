"""What the real API server refuses and accepts, on the oldest and the newest minor: the same table as tests/api."""

import asyncio
from typing import Any

import pytest
from tests.api.cases import BAD, GOOD, Case, model

from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.kinds import KINDS

pytestmark = pytest.mark.both_minors


async def _create(api: Client, case: Case) -> str:
    """Empty when accepted, else the server's message."""
    try:
        await api.create(case.obj, dryRun="All", fieldValidation="Strict")
    except ApiError as error:
        # There is one ClusterBoundary, and another test may have it: whether it exists is asked after all rules.
        taken = case.obj["kind"] == "ClusterBoundary" and error.reason == "AlreadyExists"
        return "" if taken else error.message
    return ""


async def test_bad_objects_are_refused_with_the_field_and_the_fix(api: Client) -> None:
    said = await asyncio.gather(*(_create(api, case) for case in BAD))
    wrong = {case.name: text for case, text in zip(BAD, said, strict=True) if case.server not in text or not text}
    assert wrong == {}


async def test_good_objects_are_accepted(api: Client) -> None:
    said = await asyncio.gather(*(_create(api, case) for case in GOOD))
    assert {case.name: text for case, text in zip(GOOD, said, strict=True) if text} == {}


async def test_scale_is_bounded_and_ruled(api: Client) -> None:
    """`kubectl scale` writes through /scale: bounds and rules hold there too, and a good number arrives."""
    obj = model("scaled")
    await api.create(obj)
    try:
        path = KINDS["SmallModel"].path("default", "scaled") + "/scale"

        async def scale(replicas: int) -> dict[str, Any]:
            body = {"spec": {"replicas": replicas}}
            return await api.request("PATCH", path, body=body, content_type="application/merge-patch+json")

        for replicas, says in ((-1, "greater than or equal to 0"), (101, "less than or equal to 100")):
            with pytest.raises(ApiError, match=says):
                await scale(replicas)
        assert (await scale(3))["spec"]["replicas"] == 3
    finally:
        await api.request("DELETE", KINDS["SmallModel"].path("default", "scaled"))


async def test_the_generation_of_the_client_key_only_grows(api: Client) -> None:
    """An older generation would bring back a key that was rotated away, be it lowered or dropped from a manifest."""
    path = KINDS["SmallModel"].path("default", "rotated")

    async def access(value: dict[str, Any] | None) -> dict[str, Any]:
        return await api.request(
            "PATCH", path, body={"spec": {"access": value}}, content_type="application/merge-patch+json"
        )

    await api.create(model("rotated"))
    try:
        for generation in (3, 3, 4):
            await access({"clientKey": {"generation": generation}})
        for value in ({"clientKey": {"generation": 3}}, {"clientKey": None}, None):
            with pytest.raises(ApiError, match=r"`spec.access.clientKey.generation` must not be lowered .* raise it"):
                await access(value)
        kept = await access({"clientKey": {"overlapHours": 0}})
        assert kept["spec"]["access"]["clientKey"] == {"generation": 4, "overlapHours": 0}
    finally:
        await api.request("DELETE", path)


async def test_the_generation_of_the_key_of_hmacs_only_grows(api: Client) -> None:
    path = KINDS["SmallModel"].path("default", "stamped")

    async def audit(value: dict[str, Any] | None) -> dict[str, Any]:
        return await api.request(
            "PATCH", path, body={"spec": {"audit": value}}, content_type="application/merge-patch+json"
        )

    made = await api.create(model("stamped"))
    try:
        assert made["spec"]["audit"] == {"requestHMAC": "Disabled", "keyGeneration": 1}
        for generation in (3, 3, 4):
            await audit({"keyGeneration": generation})
        for value in ({"keyGeneration": 3}, {"keyGeneration": None}, None):
            with pytest.raises(ApiError, match=r"`spec.audit.keyGeneration` must not be lowered .* raise it"):
                await audit(value)
        assert (await audit({"requestHMAC": "Enabled"}))["spec"]["audit"] == {
            "requestHMAC": "Enabled", "keyGeneration": 4,
        }  # fmt: skip
    finally:
        await api.request("DELETE", path)
