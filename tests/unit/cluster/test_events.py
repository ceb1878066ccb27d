"""Each thing worth telling is told once."""

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import Clock

from smallmodel_operator.cluster.events import REPEAT_SECONDS, Events
from smallmodel_operator.cluster.fence import Fence, NotLeader


async def tell(events: Events, note: str = "it broke", reason: str = "CrashLoop") -> bool:
    return await events.send(objects.model(), warning=True, reason=reason, action="Reconcile", note=note)


async def test_an_event_names_its_object_and_its_sender(api: FakeApiServer, clock: Clock) -> None:
    assert await tell(Events(api.client(), "me", clock), note="x" * 5000)
    event = api.sent[0].body
    assert (event["type"], event["reason"], event["reportingController"]) == (
        "Warning",
        "CrashLoop",
        "smallmodel-operator",
    )
    assert event["regarding"]["uid"] == objects.UID
    assert event["metadata"]["namespace"] == "support"
    assert len(event["note"]) == 1024, "the API server refuses longer ones"


async def test_the_same_is_told_once_an_hour(api: FakeApiServer, clock: Clock) -> None:
    events = Events(api.client(), "me", clock)
    assert await tell(events)
    assert not await tell(events)
    clock.forward(REPEAT_SECONDS + 1)
    assert await tell(events)
    assert len(api.writes) == 2


async def test_another_reason_or_note_is_told_at_once(api: FakeApiServer, clock: Clock) -> None:
    events = Events(api.client(), "me", clock)
    assert await tell(events)
    assert await tell(events, note="otherwise")
    assert await tell(events, reason="Unschedulable")


@pytest.mark.parametrize("kind", ["refused", "down"])
async def test_a_lost_event_fails_nothing_and_is_tried_again(api: FakeApiServer, clock: Clock, kind: str) -> None:
    events = Events(api.client(), "me", clock)
    if kind == "down":
        api.down = True
    else:
        api.refuse("POST", "events", 403, "Forbidden", "no")
    assert not await tell(events)
    api.down = False
    api.heal()
    assert await tell(events)


async def test_a_closed_fence_is_not_swallowed(api: FakeApiServer, clock: Clock) -> None:
    with pytest.raises(NotLeader):
        await tell(Events(api.client(Fence(clock)), "me", clock))
    assert api.sent == []


async def test_a_model_that_is_gone_is_forgotten(api: FakeApiServer, clock: Clock) -> None:
    events = Events(api.client(), "me", clock)
    await tell(events)
    events.forget(objects.UID)
    assert await tell(events)


async def test_what_was_told_is_not_kept_for_ever(api: FakeApiServer, clock: Clock) -> None:
    events = Events(api.client(), "me", clock)
    for number in range(5):
        await tell(events, note=f"{number} replicas broke")
        clock.forward(REPEAT_SECONDS / 2)
    assert len(events._sent) == 2
