"""From Prometheus' answers to what gateways said: whole scrapes only, and nothing made up."""

from typing import Any

import pytest
from tests.fakes.prometheus import FakePrometheus, Target

from smallmodel_operator.cluster.scraped import NoAnswer, models, queries, scrapes
from smallmodel_operator.cluster.signals import words_of
from smallmodel_operator.core.exported import BINNED, METRICS
from smallmodel_operator.core.scaling import Bounds
from smallmodel_operator.gateway.accesslog.objectives import Count

TIMES, PARTS = queries({})


def said(bound: float = 0.5, **more: Any) -> dict[str, Any]:
    """As a gateway says it of one model."""
    counted = Count(Bounds(bound, end_to_end=4.0)).said()
    return {"inFlight": 2, "held": 1, "idleSeconds": 0.0, "objective": {**counted, **more}}


def heard(fake: FakePrometheus, interval: float = 15.0) -> dict[str, dict[str, Any]]:
    vectors = [fake.answer(part) for part in PARTS]
    return models(vectors, scrapes(vectors[0], interval))


def test_what_was_said_is_heard() -> None:
    """The way over Prometheus and the way to the gateway come to the same words."""
    ends = {"seconds": 4.0, "counted": 6, "good": 1}
    bins = {"prompts": {"9": 2, "55": 1}, "written": {"3": 1}}
    bot, other = said(ended=7, good=5, decodeSeconds=1.25, endToEnd=ends, **bins), said(bound=1.5)
    fake = FakePrometheus(
        {"g-0": Target({"support/bot": bot, "crm/bot": other}), "g-1": Target({"support/bot": said()})}
    )
    found = heard(fake)
    assert {name: set(targets) for name, targets in found.items()} == {
        "g-0": {"support/bot", "crm/bot"}, "g-1": {"support/bot"},
    }  # fmt: skip
    direct, scraped = words_of(bot), words_of(found["g-0"]["support/bot"])
    epochs = {words_of(s)["counts"].epoch for s in (found["g-0"]["support/bot"], found["g-0"]["crm/bot"])}
    assert len(epochs) == 2, "each word of an epoch is a number of its own"
    for words in (direct, scraped):
        words["counts"] = {f: getattr(words["counts"], f) for f in words["counts"].__slots__ if f != "epoch"}
    assert scraped == direct


def test_labels_that_the_target_has_too_are_found_under_their_other_name() -> None:
    fake = FakePrometheus({"g-0": Target({"support/bot": said()}, exported=True)})
    assert set(heard(fake)["g-0"]) == {"support/bot"}


@pytest.mark.parametrize("name", [*(m.name for m in METRICS), *(m.name for m in BINNED)])
@pytest.mark.parametrize("lie", ["NaN", "+Inf", "-Inf", "-1", "1e17"])
def test_what_cannot_be_is_not_known(name: str, lie: str) -> None:
    targets = {"g-0": Target({"support/bot": said(prompts={"9": 1}, written={"3": 1})})}
    assert heard(FakePrometheus(targets, change={name: lie})) == {"g-0": {}}


@pytest.mark.parametrize("number", ["56", "-1", "x", "", "1.5"])
def test_a_bin_that_there_is_not_makes_a_model_unknown(number: str) -> None:
    fake = FakePrometheus({"g-0": Target({"support/bot": said(prompts={number: 1})})})
    assert heard(fake) == {"g-0": {}}


@pytest.mark.parametrize("name", [m.name for m in METRICS])
def test_a_series_that_is_missing_is_not_zero(name: str) -> None:
    fake = FakePrometheus({"g-0": Target({"support/bot": said()})})
    vectors = [[s for s in fake.answer(part) if s["metric"].get("__name__") != name] for part in PARTS]
    assert models(vectors, scrapes(vectors[0], 15.0)) == {"g-0": {}}


def test_numbers_of_no_gateway_that_was_scraped_are_dropped() -> None:
    fake = FakePrometheus({"g-0": Target({"support/bot": said()}), "gone": Target({"support/bot": said()})})
    vectors = [fake.answer(part) for part in PARTS]
    of = scrapes([s for s in vectors[0] if s["metric"].get("gateway") != "gone"], 15.0)
    assert set(models(vectors, of)) == {"g-0"}


def test_the_newest_scrape_of_a_name_counts_once_the_older_pod_is_not_scraped_any_more() -> None:
    fake = FakePrometheus({"g-0": Target(age=2.0, instance="10.0.0.8:10091")})
    old = FakePrometheus({"g-0": Target(age=40.0, instance="10.0.0.7:10091")})
    found = scrapes([*old.answer(TIMES), *fake.answer(TIMES)], 15.0)
    assert (found.of["g-0"].instance, found.doubled) == ("10.0.0.8:10091", frozenset())


def test_two_gateways_of_one_name_are_told_and_neither_is_believed() -> None:
    """As where one Prometheus has the gateways of two clusters: their epochs would take turns."""
    north = FakePrometheus({"g-0": Target(age=2.0, instance="10.0.0.8:10091")})
    south = FakePrometheus({"g-0": Target(age=9.0, instance="10.1.0.8:10091")})
    found = scrapes([*north.answer(TIMES), *south.answer(TIMES)], 15.0)
    assert (found.of, found.doubled) == ({}, frozenset({"g-0"}))


def test_two_jobs_that_scrape_one_gateway_are_one() -> None:
    first = FakePrometheus({"g-0": Target(age=9.0)}).answer(TIMES)
    second = FakePrometheus({"g-0": Target(age=2.0)}).answer(TIMES)
    found = scrapes([*first, *second], 15.0)
    assert (found.of["g-0"].age, found.doubled) == (2.0, frozenset())


def test_a_scrape_from_the_future_is_of_a_clock_that_jumped() -> None:
    assert scrapes(FakePrometheus({"g-0": Target(age=-60.0)}).answer(TIMES), 15.0).of == {}


def test_a_look_is_new_when_every_gateway_was_scraped_since() -> None:
    fake = FakePrometheus({"g-0": Target(age=5.0), "g-1": Target(age=9.0)})
    before = scrapes(fake.answer(TIMES), 15.0)
    assert before.newer(None, {"g-0", "g-1"})
    assert not before.newer(before, {"g-0", "g-1"})
    fake.targets["g-0"].age = 1.0
    half = scrapes(fake.answer(TIMES), 15.0)
    assert not half.newer(before, {"g-0", "g-1"}), "one of two"
    assert half.newer(before, {"g-0"}), "the other one is not wanted any more"
    assert not half.newer(before, {"g-0", "g-2"}), "one that was never scraped"
    assert not half.newer(before, set())


@pytest.mark.parametrize(
    "vector",
    [
        None,
        [None],
        [{}],
        [{"metric": {}, "value": None}],
        [{"metric": {}, "value": [1, "x"]}],
        [{"metric": ["a"], "value": [1, "2"]}],
    ],
)
def test_what_is_no_vector_is_no_answer(vector: Any) -> None:
    with pytest.raises(NoAnswer):
        scrapes(vector, 15.0)


def test_questions_are_as_many_for_a_thousand_models_as_for_one() -> None:
    times, parts = queries({"cluster": "north", "az": "a"})
    assert len(parts) == 2
    assert all('az="a",cluster="north"' in query for query in (times, *parts))
    assert all(part.startswith(f"{times} or ") for part in parts), "each with the times it belongs to"
