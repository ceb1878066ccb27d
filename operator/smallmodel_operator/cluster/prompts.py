"""Asking golden prompts. Prompts and answers stay in here: out come ids and shares."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from smallmodel_operator.cluster.engines import NotTaken
from smallmodel_operator.core.trial import Answers, Item, Trial
from smallmodel_operator.quality.answer import body, meets, same

REPEATED: Final = 16
"""So many of the prompts are asked again, to see whether the answer is the same."""

Message = Mapping[str, Any]


class Chats(Protocol):
    """An engine that can be asked."""

    async def chat(self, body: Mapping[str, Any]) -> Message: ...


async def ask(engine: Chats, trial: Trial) -> Answers:
    """Each prompt alone, a second time if it is not answered as expected; then some of them for consistency.

    Raises:
        NoAnswer: the engine does not answer at all; nothing is known then.
    """
    items = trial.golden.items if trial.golden else ()
    first: dict[str, Message | None] = {}
    failed = []
    for item in items:
        first[item.id] = said = await _answer(engine, item, trial)
        # Beside callers sums are added in another order, and an answer may differ once.
        if not await _met(item, said) and not await _met(item, await _answer(engine, item, trial)):
            failed.append(item.id)
    if not trial.consistency:
        return Answers(tuple(failed))
    again = items[:REPEATED]
    alone = [await _answer(engine, item, trial) for item in again]
    strict = _share(again, alone, first)
    return Answers(tuple(failed), strict, await _under_load(engine, trial, again, first))


async def _under_load(
    engine: Chats, trial: Trial, items: Sequence[Item], first: Mapping[str, Message | None]
) -> int | None:
    """The same with all slots busy; None where there is only one."""
    if trial.slots < 2:
        return None
    room = asyncio.Semaphore(trial.slots)
    # At least as many as there are slots, so that they are busy.
    many = [items[n % len(items)] for n in range(max(len(items), trial.slots * 2))]

    async def one(item: Item) -> Message | None:
        async with room:
            return await _answer(engine, item, trial)

    return _share(many, await asyncio.gather(*(one(item) for item in many)), first)


async def _answer(engine: Chats, item: Item, trial: Trial) -> Message | None:
    """None: the engine refuses the request, or has no such adapter, which is no answer anybody expects."""
    if item.adapter and item.adapter not in trial.adapters:
        return None
    try:
        return await engine.chat(body(item, trial.model, trial.adapters))
    except NotTaken:
        return None


async def _met(item: Item, said: Message | None) -> bool:
    # In a thread: what a schema makes of an answer is not bounded by anything but their sizes.
    return said is not None and await asyncio.to_thread(meets, item.expect, said)


def _share(items: Sequence[Item], said: Sequence[Message | None], first: Mapping[str, Message | None]) -> int:
    """Percent, rounded down: 100 means all."""
    return 100 * sum(_same(m, first[item.id]) for item, m in zip(items, said, strict=True)) // len(items)


def _same(one: Message | None, other: Message | None) -> bool:
    if one is None or other is None:
        return one is other
    return same(one, other)
