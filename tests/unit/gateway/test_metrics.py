"""What the agent counts, as a scrape finds it: text is made in another thread while numbers change."""

import threading
from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest

from smallmodel_operator.gateway.metrics import IN_FLIGHT, STOPPED, passing, stopped


@pytest.fixture(autouse=True)
def nothing_passes() -> Iterator[None]:
    passing({})
    yield
    passing({})


def shown() -> dict[str, float]:
    lines = (line for line in generate_latest(IN_FLIGHT).decode().splitlines() if not line.startswith("#"))
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


def series(name: str) -> str:
    return f'smallmodel_gateway_requests_in_flight{{model="{name}",namespace="support"}}'


def test_series_follow_their_models() -> None:
    passing({"support/bot": 2, "support/other": 0})
    assert shown() == {series("bot"): 2, series("other"): 0}
    passing({"support/bot": 0})
    assert shown() == {series("bot"): 0}
    passing({"support/bot": 0, "support/other": 0})
    assert shown() == {series("bot"): 0, series("other"): 0}, "a name that comes back"


def test_what_is_stopped_has_a_series_and_what_is_not_has_none() -> None:
    def said() -> list[str]:
        lines = generate_latest(STOPPED).decode().splitlines()
        return [line.removeprefix("smallmodel_gateway_inference_stopped") for line in lines if not line.startswith("#")]

    stopped(False, ["crm", "hr"])
    assert set(said()) == {'{namespace="*"} 0.0', '{namespace="crm"} 1.0', '{namespace="hr"} 1.0'}
    stopped(True, ["hr"])
    assert set(said()) == {'{namespace="*"} 1.0', '{namespace="hr"} 1.0'}
    stopped(False, [])
    assert said() == ['{namespace="*"} 0.0']


def test_no_scrape_finds_a_part() -> None:
    """As a dashboard would show it: models that come and go though nothing happens."""
    targets = [f"support/m{n}" for n in range(500)]
    passing(dict.fromkeys(targets, 0))
    found: list[int] = []

    def scrape() -> None:
        found.extend(len(shown()) for _ in range(60))

    scraper = threading.Thread(target=scrape)
    scraper.start()
    number = 0
    while scraper.is_alive():
        number += 1
        passing(dict.fromkeys(targets, number))
    scraper.join()
    assert set(found) == {len(targets)}
