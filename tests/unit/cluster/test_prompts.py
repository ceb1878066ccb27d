"""Golden prompts are asked alone, twice where they miss, and at once; what comes out are ids."""

import json
from collections.abc import Mapping
from typing import Any

from smallmodel_operator.cluster import prompts
from smallmodel_operator.cluster.engines import NotTaken
from smallmodel_operator.core.trial import Answers, Trial
from smallmodel_operator.quality.golden import parse

IDS = ("a", "b", "c")
SET = parse("\n".join(json.dumps({"id": i, "prompt": f"say {i}", "expect": {"exact": i}}) for i in IDS))


class Talker:
    """Says the last word of the prompt; `odd` says how often it says something else first."""

    def __init__(self, **odd: int) -> None:
        self.odd, self.asked, self.refuses = odd, 0, ""

    async def chat(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked += 1
        word = body["messages"][-1]["content"].split()[-1]
        if word == self.refuses:
            raise NotTaken("400")
        if self.odd.get(word, 0):
            self.odd[word] -= 1
            return {"content": "something else"}
        return {"content": word}


def trial(slots: int = 2, *, consistency: bool = False) -> Trial:
    return Trial("k", "a", "bot", slots, 512, SET, consistency)


async def test_each_is_asked_once_and_again_when_it_misses() -> None:
    talker = Talker(b=1)
    assert await prompts.ask(talker, trial()) == Answers(())
    assert talker.asked == 4


async def test_what_misses_twice_failed() -> None:
    assert await prompts.ask(Talker(b=2), trial()) == Answers(("b",))


async def test_what_the_engine_refuses_failed() -> None:
    talker = Talker()
    talker.refuses = "c"
    assert await prompts.ask(talker, trial()) == Answers(("c",))


async def test_consistency_is_alone_and_under_load() -> None:
    assert await prompts.ask(Talker(), trial(consistency=True)) == Answers((), 100, 100)
    assert await prompts.ask(Talker(), trial(1, consistency=True)) == Answers((), 100, None)
    # The first answer to `b` differs from all that follow.
    assert await prompts.ask(Talker(b=1), trial(consistency=True)) == Answers((), 66, 75)


async def test_an_adapter_is_asked_by_its_number_and_the_model_with_none() -> None:
    lines = [
        {"id": "base", "prompt": "say a", "expect": {"exact": "a"}},
        {"id": "law", "adapter": "legal", "prompt": "say b", "expect": {"exact": "b"}},
        {"id": "new", "adapter": "hr", "prompt": "say c", "expect": {"exact": "c"}},
    ]
    asked: list[Mapping[str, Any]] = []

    class Noting(Talker):
        async def chat(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
            asked.append(body)
            return await super().chat(body)

    prompts_of = parse("\n".join(map(json.dumps, lines)))
    wanted = Trial("k", "a", "bot", 2, 512, prompts_of, adapters=("", "legal"))
    assert await prompts.ask(Noting(), wanted) == Answers(("new",)), "a version without it is not asked at all"
    assert [body["lora"] for body in asked] == [[], [{"id": 1, "scale": 1.0}]]
    asked.clear()
    await prompts.ask(Noting(), Trial("k", "a", "bot", 2, 512, SET))
    assert not any("lora" in body for body in asked), "an engine without adapters may not know the word"
