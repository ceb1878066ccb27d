"""Commands run as a user runs them, against a fake API server where they need one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.fakes.apiserver import FakeApiServer

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
