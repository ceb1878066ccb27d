"""The work loop: pokes gather, outages back off and are told once, a lost lease ends it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.fakes import objects
from tests.fakes.clock import until

from smallmodel_operator.cluster.fence import NotLeader
from smallmodel_operator.control import loop as module
from smallmodel_operator.control.loop import Loop, Pokes
from smallmodel_operator.control.verdict import Verdict

MODEL = ("support", "bot")


class FakeReconciler:
    """Answers passes from a list; the last answer repeats."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.passes = 0
        self.reported: list[str] = []
        self.forgotten: list[str] = []
        self.report_fails = False
        self.running = 0
        self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def reconcile(self, body: Any) -> Verdict:
        self.passes += 1
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await self.gate.wait()
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, Exception):
                raise answer
            return Verdict({}, answer, refused=False)
        finally:
            self.running -= 1

    async def report_outage(self, body: Any, message: str) -> None:
        self.reported.append(message)
        if self.report_fails:
            raise RuntimeError("the API server is away")

    def forget(self, body: Any, *, succeeded: bool) -> None:
        self.forgotten.append(body["metadata"]["name"] + (" (succeeded)" if succeeded else ""))


class Running:
    """A loop at work on one model."""

    def __init__(self, *answers: Any) -> None:
        self.reconciler = FakeReconciler(*answers)
        self.results: list[str] = []
        self.loop = Loop(self.reconciler, lambda name, _: self.results.append(name), rand=lambda: 0.5)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.loop.run(objects.model))

    def poke(self) -> None:
        self.loop.pokes.poke(MODEL)

    async def passes(self, count: int) -> None:
        await until(lambda: self.reconciler.passes >= count)

    async def quiet(self, seconds: float = 0.15) -> int:
        """Passes so far, after a while in which there were no more."""
        before = self.reconciler.passes
        await asyncio.sleep(seconds)
        assert self.reconciler.passes == before
        return before


Start = Callable[..., Running]


@pytest.fixture
async def start(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.05)
    monkeypatch.setattr(module, "FIRST_BACKOFF", 0.05)
    monkeypatch.setattr(module, "LAST_BACKOFF", 0.2)
    started: list[Running] = []

    def make(*answers: Any) -> Running:
        started.append(Running(*answers))
        return started[-1]

    yield make
    for running in started:
        running.task.cancel()
    await asyncio.gather(*(r.task for r in started), return_exceptions=True)


async def test_one_pass_at_start_then_rest(start: Start) -> None:
    running = start(600.0)
    await running.passes(1)
    assert await running.quiet() == 1
    assert running.results == ["ok"]


async def test_it_looks_again_when_the_pass_said_so(start: Start) -> None:
    running = start(0.02, 600.0)
    await running.passes(2)
    assert await running.quiet() == 2


async def test_a_burst_of_pokes_is_one_pass(start: Start) -> None:
    running = start(600.0)
    await running.passes(1)
    for _ in range(50):
        running.poke()
        await asyncio.sleep(0)
    await running.passes(2)
    assert await running.quiet() == 2


async def test_a_poke_during_a_pass_makes_another(start: Start) -> None:
    running = start(600.0)
    running.reconciler.gate.clear()
    await running.passes(1)
    running.poke()
    running.reconciler.gate.set()
    await running.passes(2)
    assert await running.quiet() == 2


async def test_it_backs_off_and_recovers(start: Start) -> None:
    running = start(RuntimeError("a"), RuntimeError("a"), RuntimeError("a"), 600.0)
    await running.passes(4)
    assert running.results == ["error", "error", "error", "ok"]
    assert await running.quiet(0.3) == 4


def test_the_back_off_doubles_to_a_limit_with_jitter() -> None:
    made = [Loop(FakeReconciler(), lambda *_: None, rand=lambda: 0.5)._backoff(n) for n in (1, 2, 3, 4, 5, 6, 60)]  # type: ignore[arg-type]
    assert made == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    low = Loop(FakeReconciler(), lambda *_: None, rand=lambda: 0.0)._backoff(1)  # type: ignore[arg-type]
    high = Loop(FakeReconciler(), lambda *_: None, rand=lambda: 1.0)._backoff(1)  # type: ignore[arg-type]
    assert (low, high) == (0.75, 1.25)


async def test_an_outage_is_told_once_and_again_when_it_changes(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    running = start(OSError("a"), OSError("a"), OSError("a"), OSError("b"), 600.0)
    await running.passes(5)
    assert running.reconciler.reported == [
        "OSError: a. The operator tries again by itself.",
        "OSError: b. The operator tries again by itself.",
    ]
    assert [r.message.split(";")[0] for r in caplog.records] == ["support/bot: OSError: a", "support/bot: OSError: b"]
    assert not any(r.exc_info for r in caplog.records), "an outage needs no traceback"


async def test_an_outage_after_a_recovery_is_told_again(start: Start) -> None:
    running = start(OSError("a"), 0.01, OSError("a"), 600.0)
    await running.passes(4)
    assert len(running.reconciler.reported) == 2


async def test_a_bug_is_logged_with_its_traceback(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    running = start(KeyError("x"), 600.0)
    await running.passes(2)
    assert caplog.records[0].exc_info


async def test_an_outage_that_cannot_be_reported_does_not_end_the_loop(start: Start) -> None:
    running = start(OSError("a"), 600.0)
    running.reconciler.report_fails = True
    await running.passes(2)
    assert not running.task.done()


async def test_an_outage_that_could_not_be_reported_is_reported_later_and_logged_once(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = start(OSError("a"), OSError("a"), OSError("a"), 600.0)
    running.reconciler.report_fails = True
    await running.passes(1)
    running.reconciler.report_fails = False
    await running.passes(4)
    assert len(running.reconciler.reported) == 2, "once in vain, once for good"
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


async def test_a_poke_shortens_a_long_back_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_BACKOFF", 100.0)
    running = start(OSError("a"), 600.0)
    monkeypatch.setattr(running.loop, "_backoff", lambda _: 100.0)
    await running.passes(1)
    running.poke()
    await running.passes(2)


async def test_a_late_renewal_finds_the_loop_still_there(start: Start) -> None:
    running = start(NotLeader("late"), 600.0)
    await running.passes(2)
    assert running.results == ["not_leader", "ok"]
    assert running.reconciler.reported == [], "it may not write, not even that"


async def test_what_was_cached_for_a_model_goes_with_it(start: Start) -> None:
    running = start(600.0)
    await running.passes(1)
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert running.reconciler.forgotten == ["bot"]
    running.poke()  # nobody listens, nothing happens


async def test_a_model_made_anew_keeps_its_loop_when_the_old_one_ends_late(start: Start) -> None:
    running = start(600.0)
    await running.passes(1)
    second = asyncio.create_task(running.loop.run(objects.model))
    await running.passes(2)
    running.task.cancel()
    await asyncio.wait({running.task})
    assert running.reconciler.forgotten == ["bot (succeeded)"]
    running.poke()
    await running.passes(3)
    second.cancel()
    await asyncio.wait({second})
    assert running.reconciler.forgotten[1:] == ["bot"]


async def test_only_so_many_models_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    reconciler = FakeReconciler(600.0)
    reconciler.gate.clear()
    loop = Loop(reconciler, lambda *_: None)  # type: ignore[arg-type]
    tasks = [asyncio.create_task(loop.run(lambda n=n: objects.model(f"bot-{n}"))) for n in range(8)]
    await until(lambda: reconciler.passes == 3)
    reconciler.gate.set()
    await until(lambda: reconciler.passes == 8)
    assert reconciler.most_at_once == 3
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_pokes_are_for_one_model() -> None:
    pokes = Pokes()
    mine, other = pokes.begin(("a", "b")), pokes.begin(("a", "c"))
    pokes.poke(("a", "b"))
    assert (mine.is_set(), other.is_set()) == (True, False)
    assert pokes.end(("a", "b"), mine)
    assert not pokes.end(("a", "b"), mine)
