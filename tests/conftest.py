"""Options and fixtures all tiers share. Each tier keeps what only it needs in its own conftest."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings
from tests.fakes.apiserver import FakeApiServer

# Busy machines are slow machines: examples count, not milliseconds. The same examples every time.
settings.register_profile(
    "repository", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repository")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/*/{objects,status}.yaml anew")


@pytest.fixture
async def api() -> AsyncIterator[FakeApiServer]:
    """A fake API server, empty."""
    async with FakeApiServer() as server:
        yield server
