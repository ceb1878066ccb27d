"""Options and fixtures all tiers share. Each tier keeps what only it needs in its own conftest."""

import gc
import logging
import os
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.fakes.apiserver import FakeApiServer
from tests.workers import ByWhatTheyShare
from xdist.remote import Producer

# Busy machines are slow machines: examples count, not milliseconds. The same examples every time.
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", derandomize=True, max_examples=25, **_COMMON)
settings.register_profile("thorough", max_examples=1000, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/*/{objects,status}.yaml anew")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What collecting makes stays to the end: to look through it for garbage, then and during every test, took longer
    than all else of collecting."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByWhatTheyShare | None:
    return ByWhatTheyShare(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture
async def api() -> AsyncIterator[FakeApiServer]:
    """A fake API server, empty."""
    async with FakeApiServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """Programs set up the root logger for their own stderr; a later test must not log into a closed one."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
