"""Turns facts and phrasings into question/answer pairs as people would type them. Same seed, same corpus."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from hack.demo_model.noise import misspell
from hack.demo_model.spintax import GrammarError, Phrase, parse

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "01-first-model"
QUESTIONS = EXAMPLE / "questions.yaml"
# Small talk needs fewer samples than a fact; "unknown" has the whole world to cover.
SHARE = {"unknown": 7.0, "thanks": 0.5, "about": 0.7}


@dataclass(frozen=True)
class Fact:
    """One thing the model knows: the answer, and the expressions every right answer contains."""

    name: str
    answer: str
    must: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """One line of a phrasing file; `key` names it in hold-outs."""

    fact: str
    key: str
    phrase: Phrase


@dataclass(frozen=True)
class Example:
    fact: str
    question: str


@cache
def facts() -> dict[str, Fact]:
    raw = yaml.safe_load((HERE / "facts.yaml").read_text())
    return {name: Fact(name, body["answer"], tuple(body["must"])) for name, body in raw.items()}


@cache
def lexicon() -> dict[str, tuple[Phrase, ...]]:
    slots: dict[str, tuple[Phrase, ...]] = {}
    for line in (HERE / "lexicon.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, body = line.partition(" = ")
        slots[name] = parse("{" + body + "}", slots).parts[0]  # type: ignore[assignment]
    return slots


@cache
def lines() -> tuple[Line, ...]:
    """All phrasing lines. Raises GrammarError naming file and line."""
    found: list[Line] = []
    for name in facts():
        path = HERE / "phrasings" / f"{name}.txt"
        for number, text in enumerate(path.read_text().splitlines(), 1):
            try:
                found.append(Line(name, f"{name}:{number}", parse(text, lexicon())))
            except GrammarError as error:
                raise GrammarError(f"{path.name} line {number}: {error}") from error
    return tuple(found)


def normalise(text: str) -> str:
    """Letters, digits and single blanks only: two questions that differ in case or punctuation are the same."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower().replace("'", "")))


@cache
def held_out_questions() -> frozenset[str]:
    """Normalised questions that must never be trained on: the demo's twenty and both hand-written sets."""
    asked = [q["question"] for q in yaml.safe_load(QUESTIONS.read_text())["questions"]]
    for name in ("independent.yaml", "dev.yaml"):
        for questions in yaml.safe_load((HERE / name).read_text()).values():
            asked += questions
    return frozenset(normalise(q) for q in asked)


def tidy(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" ([,.!?;])", r"\1", text)
    return re.sub(r"([,.]) ?[,.]+", r"\1", text).strip(" ,")


class Generator:
    """Draws examples. `skip` are line keys left out (for cross-validation); `only` keeps just these."""

    def __init__(self, seed: int, skip: Iterable[str] = (), only: Iterable[str] | None = None) -> None:
        self.rng = random.Random(seed)
        skipped, kept = set(skip), None if only is None else set(only)
        self.held_out = held_out_questions()
        self.by_fact: dict[str, tuple[list[Line], list[float]]] = {}
        for line in lines():
            if line.key in skipped or (kept is not None and line.key not in kept):
                continue
            pool, weights = self.by_fact.setdefault(line.fact, ([], []))
            pool.append(line)
            weights.append(1.0 + line.phrase.log2_size())
        self.names = list(self.by_fact)
        self.shares = [SHARE.get(name, 1.0) for name in self.names]

    def plain(self, name: str | None = None) -> Example:
        """A bare question without greeting or noise."""
        name = name or self.rng.choices(self.names, self.shares)[0]
        pool, weights = self.by_fact[name]
        return Example(name, tidy(self.rng.choices(pool, weights)[0].phrase.sample(self.rng)))

    def draw(self) -> Example:
        """A question as typed: maybe greeted, wrapped, misspelt. Never one of the held-out questions."""
        while True:
            bare = self.plain()
            if normalise(bare.question) in self.held_out:
                continue
            question = misspell(self._wrap(bare.question), self.rng)
            if question and normalise(question) not in self.held_out:
                return Example(bare.fact, question)

    def _slot(self, name: str) -> str:
        return self.rng.choice(lexicon()[name]).sample(self.rng)

    def _wrap(self, text: str) -> str:
        rng = self.rng
        if rng.random() < 0.10:
            words = text.split()
            words.insert(rng.randrange(len(words) + 1), self._slot("filler"))
            text = " ".join(words)
        if rng.random() < 0.13:
            text = f"{self._slot('lead')} {text}"
        if rng.random() < 0.10:
            text = f"{self._slot('context')} {text}"
        end = rng.choice(("?", "?", "?", "?", "", "", "", "", ".", "!", "??", " ?", "...", "?!"))
        if rng.random() < 0.16:
            tail = self._slot("tail")
            text = f"{text}{rng.choice((',', '', ''))} {tail}{end}" if rng.random() < 0.6 else f"{text}{end} {tail}"
        elif rng.random() < 0.05:
            text = f"{text}{end} {self._slot('context')}"
        else:
            text += end
        if rng.random() < 0.17:
            text = f"{self._slot('greeting')}{rng.choice((',', '', '!', ',', '.', ' -'))} {text}"
        return text
