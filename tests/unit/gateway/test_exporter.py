"""What a scrape finds of models with an objective: what GET /signals says, and nothing while nothing is known."""

import threading
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from smallmodel_operator.core.exported import BINNED, METRICS, epoch_number
from smallmodel_operator.core.scaling import Bounds
from smallmodel_operator.gateway.accesslog.objectives import Count, Objectives
from smallmodel_operator.gateway.exporter import Exporter
from smallmodel_operator.gateway.signals import Activity, Held, look, report


def said(*targets: str, held: int = 0) -> dict[str, Any]:
    objectives = Objectives()
    objectives.follow(dict.fromkeys(targets, Bounds(0.5)))
    activities: dict[str, Activity] = look({}, [*targets, "support/manual"], {}, {}, 0.0)
    waits = {target: Held(held=held) for target in targets}
    return dict(report("g-0", "now", True, activities, waits, {}, 1.0, objectives.said(targets))["models"])


def paths(said: dict[str, Any], binned: set[tuple[str, ...]], above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for name, value in said.items():
        path = (*above, name)
        inner = isinstance(value, dict) and path not in binned
        found |= paths(value, binned, path) if inner else {path}
    return found


def scraped(registry: CollectorRegistry) -> dict[str, dict[tuple[str, ...], float]]:
    """Value by name and labels, as a scraper reads the page."""
    page = generate_latest(registry).decode()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = tuple(sample.labels[k] for k in ("namespace", "model", "bin") if k in sample.labels)
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_all_that_is_said_is_exported_and_nothing_else() -> None:
    """A number that GET /signals has and a scrape has not would be missed by whoever scales by Prometheus alone."""
    exported = {m.path[1:] for m in (*METRICS, *BINNED) if m.path[0] == "objective"}
    assert paths(Count(Bounds(0.5)).said(), {m.path[1:] for m in BINNED}) == exported


def test_a_model_is_there_with_zeros_from_its_first_scrape_on() -> None:
    registry = CollectorRegistry()
    exporter = Exporter(registry)
    models = said("support/bot", held=3)
    exporter.show(models)
    found = scraped(registry)
    assert set(found) == {m.name for m in METRICS}, "no bin of a prompt's length holds any yet"
    assert all(set(series) == {("support", "bot")} for series in found.values()), "manual has no objective"
    assert found["smallmodel_gateway_objective_held_requests"]["support", "bot"] == 3
    assert found["smallmodel_gateway_objective_ended_total"]["support", "bot"] == 0
    assert found["smallmodel_gateway_objective_first_token_bound_seconds"]["support", "bot"] == 0.5
    epoch = models["support/bot"]["objective"]["epoch"]
    assert int(found["smallmodel_gateway_objective_epoch"]["support", "bot"]) == epoch_number(epoch), (
        "to the last digit"
    )


def test_lengths_of_prompts_are_exported_by_their_bins() -> None:
    registry = CollectorRegistry()
    exporter = Exporter(registry)
    models = said("support/bot")
    models["support/bot"]["objective"]["prompts"] = {"9": 2, "21": 1}
    exporter.show(models)
    assert scraped(registry)["smallmodel_gateway_objective_prompts_total"] == {
        ("support", "bot", "9"): 2,
        ("support", "bot", "21"): 1,
    }


def test_what_is_not_known_is_left_out() -> None:
    registry = CollectorRegistry()
    exporter = Exporter(registry)
    exporter.show(said("support/bot"))
    exporter.show({})
    assert scraped(registry) == {}


@pytest.mark.parametrize(
    ("one", "other"), [("1763000000000.0", "1763000000000.1"), ("1763000000000.0", "1763000000001.0")]
)
def test_another_epoch_is_another_number_that_a_metric_can_carry(one: str, other: str) -> None:
    assert epoch_number(one) != epoch_number(other)
    assert float(epoch_number(other)) == epoch_number(other) < 2**53


def test_a_scrape_finds_one_look() -> None:
    registry = CollectorRegistry()
    exporter = Exporter(registry)
    looks = [said(*(f"support/m{n}" for n in range(100)), held=held) for held in (1, 2)]
    exporter.show(looks[0])
    mixed: list[set[float]] = []

    def scrape() -> None:
        name = "smallmodel_gateway_objective_held_requests"
        mixed.extend(set(scraped(registry)[name].values()) for _ in range(30))

    thread = threading.Thread(target=scrape)
    thread.start()
    while thread.is_alive():
        for models in looks:
            exporter.show(models)
    thread.join()
    assert mixed
    assert all(values in ({1.0}, {2.0}) for values in mixed)
