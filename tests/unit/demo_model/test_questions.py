"""The twenty questions are well formed, their checks can tell right from wrong, and none of them was trained on."""

from __future__ import annotations

import re

import pytest
import yaml
from hack.demo_model.corpus import Generator, facts, held_out_questions, normalise
from hack.demo_model.noise import misspell
from hack.demo_model.questions import HERE, TWENTY, Question, by_fact, twenty

SETS = ("independent.yaml", "dev.yaml")


def test_there_are_twenty_different_questions() -> None:
    asked = [normalise(q.text) for q in twenty()]
    assert len(asked) == len(set(asked)) == 20


@pytest.mark.parametrize("entry", yaml.safe_load(TWENTY.read_text())["questions"], ids=lambda e: e["fact"])
def test_question_is_well_formed(entry: dict[str, object]) -> None:
    assert set(entry) == {"question", "fact", "must", "mustNot"}
    assert entry["fact"] in facts()
    for expression in [*entry["must"], *entry["mustNot"]]:  # type: ignore[misc]
        re.compile(expression)


@pytest.mark.parametrize("question", twenty(), ids=lambda q: q.fact)
def test_only_the_right_answer_passes(question: Question) -> None:
    passing = {name for name, fact in facts().items() if question.is_answered_by(fact.answer)}
    assert passing == {question.fact}


def test_every_fact_is_told_from_all_others_by_its_expressions() -> None:
    for name, fact in facts().items():
        probe = Question("", name, fact.must)
        assert [n for n, f in facts().items() if probe.is_answered_by(f.answer)] == [name]


def test_the_wrong_case_does_not_fail_an_answer_and_an_empty_one_does() -> None:
    question = Question("", "x", ("PayPal",), ("cash",))
    assert question.is_answered_by("we take paypal")
    assert not question.is_answered_by("we take PayPal and cash")
    assert not question.is_answered_by("")


@pytest.mark.parametrize("name", SETS)
def test_hand_written_sets_cover_every_fact(name: str) -> None:
    assert {q.fact for q in by_fact(HERE / name)} == set(facts())


def test_independent_set_shares_nothing_with_the_tuning_set() -> None:
    independent, dev = ({normalise(q.text) for q in by_fact(HERE / name)} for name in SETS)
    assert len(independent) >= 60
    assert not independent & dev
    assert not {normalise(q.text) for q in twenty()} & (independent | dev)


@pytest.mark.parametrize("count", [3_000, pytest.param(30_000, marks=pytest.mark.long)])
def test_training_text_holds_no_held_out_question(count: int) -> None:
    generator = Generator(seed=20260611 + 2)
    drawn = {normalise(generator.draw().question) for _ in range(count)}
    assert len(drawn) > count * 5 // 6
    assert not drawn & held_out_questions()


def test_generator_throws_a_held_out_question_away() -> None:
    generator = Generator(seed=5)
    first = normalise(generator.draw().question)
    again = Generator(seed=5)
    again.held_out = frozenset({first})
    assert normalise(again.draw().question) != first


def test_same_seed_same_corpus() -> None:
    one, two, other = Generator(3), Generator(3), Generator(4)
    drawn = [one.draw() for _ in range(200)]
    assert drawn == [two.draw() for _ in range(200)]
    assert drawn != [other.draw() for _ in range(200)]


def test_noise_keeps_most_words() -> None:
    import random

    rng = random.Random(1)
    text = "how long does the delivery of an oscilloscope take"
    kept = [len(set(misspell(text, rng).split()) & set(text.split())) for _ in range(300)]
    assert sum(kept) / len(kept) > 6
