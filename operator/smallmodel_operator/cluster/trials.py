"""Runs trials beside the loop: each in a task of its own, a few at a time, again after a pause when a pod fails one.

Results stay until their key is not wanted any more; a model is poked when one of its trials ends. Nothing of what was
asked or answered is logged or kept.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from smallmodel_operator.api.names import ENGINE_PORT
from smallmodel_operator.cluster import prompts, speed
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.cluster.engines import Engine, NoAnswer, NotTaken, session
from smallmodel_operator.core.keys import Masters, engine_key
from smallmodel_operator.core.trial import Failure, Result, Trial

FIRST_PAUSE: Final = 15.0
LAST_PAUSE: Final = 600.0
"""Pods that cannot be reached (another network, a stand-in) are asked this seldom in the end."""
SPEEDS_AT_ONCE: Final = 1
"""Two measurements on one node would be of each other."""
GOLDEN_AT_ONCE: Final = 16
"""Models that are asked golden prompts at the same time."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Running:
    trial: Trial
    task: asyncio.Task[None]


@dataclass(slots=True)
class _Model:
    running: dict[str, _Running] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One trial of a model at a time: speed measured beside golden prompts would not be its speed."""


class Trials:
    """`masters` is what engines' keys are made of; `poke` is told of each model that knows more."""

    def __init__(
        self, masters: Callable[[], Masters], poke: Callable[[ModelKey], None], port: int = ENGINE_PORT
    ) -> None:
        self._masters, self._poke, self._port = masters, poke, port
        self.pause = FIRST_PAUSE
        self._models: dict[ModelKey, _Model] = {}
        self._measuring, self._asking = asyncio.Semaphore(SPEEDS_AT_ONCE), asyncio.Semaphore(GOLDEN_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    def known(self, model: ModelKey) -> Mapping[str, Result]:
        """What trials of a model came to, by key."""
        return dict(self._models[model].results) if model in self._models else {}

    def want(self, model: ModelKey, uid: str, trials: Iterable[Trial]) -> None:
        """These trials, and no others, are wanted of a model: what is under way for another pod ends."""
        wanted = {trial.key: trial for trial in trials}
        if not wanted and model not in self._models:
            return
        here = self._models.setdefault(model, _Model())
        for key in [k for k, r in here.running.items() if wanted.get(k) != r.trial]:
            here.running.pop(key).task.cancel()
        here.results = {k: r for k, r in here.results.items() if k in wanted}
        for key, trial in wanted.items():
            if key not in here.running and isinstance(here.results.get(key), Failure | None):
                task = asyncio.create_task(self._until_done(model, uid, trial))
                here.running[key] = _Running(trial, task)
        if not wanted:
            del self._models[model]

    async def close(self) -> None:
        tasks = [running.task for model in self._models.values() for running in model.running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _until_done(self, model: ModelKey, uid: str, trial: Trial) -> None:
        here, tries = self._models[model], 0
        while True:
            try:
                async with here.turn:
                    result: Result = await self._run(uid, trial)
            except (NoAnswer, NotTaken) as error:
                tries += 1
                result = Failure(tries, f"{error}.")
                logger.debug("%s/%s: a trial failed, it is tried again: %s", *model, error)
            except Exception as error:  # a bug must not keep what it concerns waiting in silence; no text is logged
                tries += 1
                result = Failure(tries, f"the operator failed ({type(error).__name__}).")
                logger.error("%s/%s: a trial ended with %s", *model, type(error).__name__)
            here.results[trial.key] = result
            self._poke(model)
            if not isinstance(result, Failure):
                here.running.pop(trial.key, None)
                return
            await asyncio.sleep(min(LAST_PAUSE, self.pause * 2.0 ** (tries - 1)))

    async def _run(self, uid: str, trial: Trial) -> Result:
        self._session = self._session or session()
        host = f"[{trial.address}]" if ":" in trial.address else trial.address
        key = engine_key(self._masters().engine, uid)
        engine = Engine(self._session, f"http://{host}:{self._port}", key, trial.model)
        if trial.golden is not None:
            async with self._asking:
                return await prompts.ask(engine, trial)
        async with self._measuring:
            return await speed.measure(engine, trial)
