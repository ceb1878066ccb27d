"""Commands run as a user runs them, against a fake API server where they need one."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.registry import start_registry
from tests.fakes.source_site import keys_in

from smallmodel_operator.cluster.client import Client

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write objects to a YAML file and return its name."""

    def make(*objects: Any, name: str = "m.yaml") -> str:
        path = tmp_path / name
        path.write_text(yaml.safe_dump_all(json.loads(json.dumps(objects))))
        return str(path)

    return make


@pytest.fixture
def connected(api: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> FakeApiServer:
    """Commands connect to the fake API server."""

    async def connect(fence: object = None) -> Client:
        return api.client()

    monkeypatch.setattr(Client, "connect", connect)
    return api


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority and a server's certificate; tests read them only."""
    return keys_in(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def host(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real registry that speaks HTTPS and lets everybody in."""
    process, host = start_registry(tmp_path_factory.mktemp("open"), keys=keys)
    yield host
    process.kill()
    process.wait()
