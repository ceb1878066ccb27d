"""One Envoy and its fake engines for each module of tests. See running.py for what a Gateway can do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.upstream import Engine
from tests.gateway.running import Gateway
from tests.gateway.states import model, state_of

from smallmodel_operator.gateway.paths import TGI_LACKS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short: a Unix socket's path may have 107 bytes."""
    return tmp_path_factory.mktemp("g")


@pytest.fixture(scope="module")
def bot() -> Iterator[Engine]:
    """The pod of support/bot."""
    engine = Engine("bot").start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def notes() -> Iterator[Engine]:
    """The pod of crm/notes."""
    engine = Engine("notes").start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def gateway(folder: Path, bot: Engine, notes: Engine) -> Iterator[Gateway]:
    """In support: bot (open to one partner key), off, broken (cannot start), old (TGI), tight (2/min); crm/notes."""
    models = (
        model("support/bot", allow=("key:support/bot/partner",)),
        model("crm/notes", max_body_bytes=2048),
        model("support/off", off=True),
        model("support/spent", spent=True),
        model("support/broken", stalled="NotGguf"),
        model("support/old", engine="TGI", lacks=TGI_LACKS),
        model("support/tight", requests_per_minute=2),
    )
    ports = {"support/bot": bot.port, "support/old": bot.port, "support/tight": bot.port, "crm/notes": notes.port}
    with Gateway(folder, state_of(models, ports)) as running:
        yield running
