"""The activator in simulated time: bursts, ends, wakes, cold starts."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from tests.fakes.activation import FakePorts, RushLoop, model

from smallmodel_operator.gateway.activate.activator import Activator, Waiting
from smallmodel_operator.gateway.activate.metrics import REFUSED
from smallmodel_operator.gateway.activate.queue import Limits, Outcome
from smallmodel_operator.gateway.activate.returns import MOST, Sending
from smallmodel_operator.gateway.state import Endpoint, Model

BOT = "support/bot"


def simulate(
    story: Callable[[FakePorts, Activator], Awaitable[None]], limits: Limits | None = None, **ports: object
) -> FakePorts:
    """Run a story in a loop whose time is fake; afterwards nothing may be left running."""

    async def tell() -> FakePorts:
        loop = asyncio.get_running_loop()
        known = {BOT: model(), "support/other": model("other")}
        fake = FakePorts(loop.time, known, **ports)  # type: ignore[arg-type]
        activator = Activator(fake, Path("/nowhere"), 0, bytes, clock=loop.time, probe=fake.probe, limits=limits)
        await story(fake, activator)
        await asyncio.sleep(0.1)
        assert len(activator.queue) == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something of a burst stayed"
        return fake

    with asyncio.Runner(loop_factory=RushLoop) as runner:
        return runner.run(tell())


def enter(activator: Activator, namespace: str = "a", target: str = BOT, size: int = 0) -> Waiting:
    waiting = activator.enter(target, namespace, size, foreign=False)
    assert isinstance(waiting, Waiting), waiting
    return waiting


def test_a_burst_wakes_once_and_all_go_on() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        all_of_it = [enter(activator) for _ in range(100)]
        began = activator.clock()
        assert [await w.ended for w in all_of_it] == [Outcome.RELEASED] * 100
        took = activator.clock() - began
        assert 1.5 < took < 1.5 + 0.02 * 100 / 16 + 0.1
        held = activator.held()[BOT]
        assert (held.held, held.wakes) == (0, 1)
        assert [s.total for s in held.cold_starts] == pytest.approx([1.5], abs=0.06)

    assert simulate(story).wakes == [BOT]


def test_one_that_waits_alone_goes_within_a_probe_of_ready() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        waiting = enter(activator)
        await waiting.ended
        ready = ports.woken[BOT] + 1.5
        assert 0 <= activator.clock() - ready < 0.05

    simulate(story)


def test_a_pod_that_the_kubelet_calls_ready_is_enough() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        waiting = enter(activator)
        await asyncio.sleep(0.4)
        ports.published[BOT] = (Endpoint("10.0.0.9", 8080, ready=True),)
        before = activator.clock()
        assert await waiting.ended is Outcome.RELEASED
        assert activator.clock() - before < 0.04

    simulate(story)


def test_who_gives_up_leaves_and_the_burst_ends_with_the_last() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        one, two = enter(activator), enter(activator)
        await asyncio.sleep(0.1)
        activator.leave(one)
        activator.leave(one)
        assert activator.queue.count(BOT) == 1
        activator.leave(two)
        assert (await one.ended, await two.ended) == (Outcome.LEFT, Outcome.LEFT)

    simulate(story)


def test_too_long_is_told_what_a_cold_start_takes() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        ports.models[BOT] = model(max_wait=5.0)
        waiting = enter(activator)
        assert await waiting.ended is Outcome.EXPIRED
        assert activator.clock() == pytest.approx(5.0, abs=0.05)
        answer = activator.refusal(BOT, Outcome.EXPIRED, waiting.ticket.since)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "25")
        assert b"after 5 s" in answer.body

    simulate(story, deaf=True)


@pytest.mark.parametrize(
    ("now", "outcome"),
    [
        (None, Outcome.GONE),
        (model(off=True), Outcome.OFF),
        (model(stopped=True, off=True), Outcome.STOPPED),
        (model(stalled="ImagePullFailed"), Outcome.STALLED),
    ],
)
def test_a_model_that_goes_is_switched_off_or_cannot_start_lets_nobody_wait(
    now: Model | None, outcome: Outcome
) -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        waiting = enter(activator)
        await asyncio.sleep(0.2)
        if now is None:
            del ports.models[BOT]
        else:
            ports.models[BOT] = now
        assert await waiting.ended is outcome
        assert activator.enter(BOT, "a", 0, foreign=False) is outcome
        if now is not None and now.stalled:
            assert b"ImagePullFailed" in activator.refusal(BOT, outcome).body

    simulate(story)


def test_before_models_are_known_an_unknown_one_waits() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        del ports.models[BOT]
        waiting = enter(activator)
        await asyncio.sleep(0.5)
        ports.models[BOT] = model()
        ports.complete = True
        assert await waiting.ended is Outcome.RELEASED

    simulate(story, complete=False)


def test_wakes_are_tried_again_while_somebody_waits() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        assert await enter(activator).ended is Outcome.RELEASED
        assert ports.asked >= 4
        assert activator.clock() < 4

    simulate(story, failing=3)


def test_a_model_that_somebody_else_scales_is_held_and_not_woken() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        ports.models[BOT] = replace(ports.models[BOT], external=True)
        waiting = enter(activator)
        await asyncio.sleep(5)
        assert (activator.held()[BOT].held, ports.wakes) == (1, [])
        await ports.wake(BOT)  # as their write does, by way of the operator
        assert await waiting.ended is Outcome.RELEASED
        assert activator.held()[BOT].wakes == 0

    simulate(story)


def test_a_model_without_room_is_woken_once_the_operator_says_that_there_is_some() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        ports.models[BOT] = replace(ports.models[BOT], full=True)
        waiting = enter(activator)
        await asyncio.sleep(60)
        assert (activator.held()[BOT].held, ports.wakes) == (1, [])
        ports.models[BOT] = replace(ports.models[BOT], full=False)
        before = activator.clock()
        assert await waiting.ended is Outcome.RELEASED
        assert activator.clock() - before < 1.0 + 1.5 + 0.1, "looked at each second, and a start"

    assert simulate(story, operator=True).wakes == [BOT]


def test_nobody_waits_for_the_word_of_an_operator_that_is_away() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        ports.models[BOT] = replace(ports.models[BOT], full=True)
        waiting = enter(activator)
        await asyncio.sleep(5)
        assert ports.wakes == []
        ports.operator = False
        assert await waiting.ended is Outcome.RELEASED

    assert simulate(story, operator=True).wakes == [BOT]


def test_a_model_put_to_sleep_under_those_who_wait_is_woken_again() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        waiting = enter(activator)
        await asyncio.sleep(0.2)
        ports.sleep(BOT)
        assert await waiting.ended is Outcome.RELEASED

    assert simulate(story).wakes == [BOT, BOT]


def test_the_bounds_hold_and_who_is_displaced_is_told() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        ports.models[BOT] = model(max_queued=3)
        greedy = [enter(activator, "greedy") for _ in range(3)]
        assert activator.enter(BOT, "greedy", 0, foreign=False) is Outcome.QUEUE_FULL
        modest = enter(activator, "modest")
        assert await greedy[2].ended is Outcome.QUEUE_FULL
        assert activator.enter("support/other", "x", 101, foreign=False) is Outcome.GATEWAY_FULL
        assert [await w.ended for w in (*greedy[:2], modest)] == [Outcome.RELEASED] * 3

    simulate(story, limits=Limits(bytes=100))


def test_a_request_that_ends_each_engine_is_not_let_go_for_ever() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        for n in range(MOST):
            poison = activator.enter(BOT, "a", 0, False, Sending("poison", 1 + 2 * n))
            other = activator.enter(BOT, "a", 0, False, Sending(f"other {n}", 1))
            assert isinstance(poison, Waiting)
            assert isinstance(other, Waiting)
            assert {await poison.ended, await other.ended} == {Outcome.RELEASED}
            bounced = activator.enter(BOT, "a", 0, False, Sending("poison", 2 + 2 * n))
            assert isinstance(bounced, Waiting), "its Envoy was late to hear of the pod"
            assert await bounced.ended is Outcome.RELEASED
            ports.sleep(BOT)
        assert activator.enter(BOT, "a", 0, False, Sending("poison", 9)) is Outcome.ENDING
        ports.woken[BOT], ports.published[BOT] = 0.0, (ports.endpoint(BOT),)
        early = activator.enter(BOT, "a", 0, False, Sending("poison", 10))
        assert isinstance(early, Waiting), "that its pod is gone is not known yet"
        ports.sleep(BOT)
        assert await early.ended is Outcome.ENDING
        assert await enter(activator).ended is Outcome.RELEASED

    simulate(story)


def test_an_error_of_a_port_loses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        settled, calls = ports.settled, 0

        async def broken(target: str) -> bool:
            nonlocal calls
            calls += 1
            if calls < 3:
                raise RuntimeError("a bug")
            return await settled(target)

        ports.settled = broken  # type: ignore[method-assign]
        assert await enter(activator).ended is Outcome.RELEASED
        assert calls >= 3

    simulate(story)


def test_another_gateways_envoy_is_let_go_slowly_when_the_model_is_ready() -> None:
    """Its agent is away, so it does not know the pod yet and would only come back."""

    async def story(ports: FakePorts, activator: Activator) -> None:
        assert await enter(activator).ended is Outcome.RELEASED
        before = activator.clock()
        foreign = activator.enter(BOT, "a", 0, foreign=True)
        assert isinstance(foreign, Waiting)
        assert await foreign.ended is Outcome.RELEASED
        assert 1.0 <= activator.clock() - before < 1.1
        before = activator.clock()
        await enter(activator).ended
        assert activator.clock() - before < 0.05

    simulate(story)


def test_nothing_is_remembered_of_models_that_are_gone() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        await enter(activator).ended
        await asyncio.sleep(0.1)
        assert BOT in activator.held()
        del ports.models[BOT]
        assert activator.held() == {}

    simulate(story)


@pytest.mark.parametrize("now", [model(off=True), model(stalled="ImagePullFailed")])
def test_series_of_models_that_never_woke_go_with_them(now: Model) -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        ports.models[BOT] = now
        activator.enter(BOT, "a", 0, foreign=False)
        activator.held()
        assert b'model="bot"' in generate_latest(REFUSED), "as long as it is there"
        del ports.models[BOT]
        activator.held()
        assert b'model="bot"' not in generate_latest(REFUSED)

    simulate(story)


def test_a_bug_while_waking_ends_no_waking(caplog: pytest.LogCaptureFixture) -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        wake, calls = ports.wake, 0

        async def broken(target: str) -> bool:
            nonlocal calls
            calls += 1
            if calls < 4:
                raise RuntimeError("a bug")
            return await wake(target)

        ports.wake = broken  # type: ignore[method-assign]
        assert await enter(activator).ended is Outcome.RELEASED
        assert calls >= 4
        assert 1.5 + 0.5 < activator.clock() < 4, "later each time, but it goes on"

    assert simulate(story).wakes == [BOT]
    assert len([r for r in caplog.records if r.exc_info]) == 1, "said once"


def test_a_thousand_sleeps_and_wakes_leave_nothing_behind() -> None:
    async def story(ports: FakePorts, activator: Activator) -> None:
        released = 0
        for cycle in range(1000):
            waiting = [enter(activator, f"ns-{n}") for n in range(3)]
            await asyncio.sleep(0.01 * (cycle % 7))
            activator.leave(waiting[0])
            released += sum([(await w.ended) is Outcome.RELEASED for w in waiting[1:]])
            ports.sleep(BOT)
            await asyncio.sleep(0.05)
            assert asyncio.all_tasks() == {asyncio.current_task()}
        assert released == 2000
        assert len(ports.wakes) == 1000
        assert len(activator.held()[BOT].cold_starts) == 10
        internals = vars(activator)
        assert not internals["_waiting"]
        assert not internals["_bursts"]
        assert not internals["_tasks"]
        assert not vars(activator.queue)["_lines"]

    simulate(story, schedule=0.05, container=0.05, load=0.1)
