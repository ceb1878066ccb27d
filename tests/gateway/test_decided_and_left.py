"""From a decision to the outside, with both Envoys: what is clean leaves through the egress, nothing else does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.outside import Authority, Outside
from tests.fakes.recording import MASTER
from tests.fakes.upstream import Engine
from tests.gateway.decided import Asking, asking, until_ready
from tests.gateway.leaving import SECRET, Egress, leaving
from tests.gateway.running import Answer
from tests.gateway.test_decide import CLEAN, IBAN, body

from smallmodel_operator.boundary.declared import parse
from smallmodel_operator.boundary.passes import Signer
from smallmodel_operator.core.keys import egress_seed

HOST = "api.localhost"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("l")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def outside(authority: Authority) -> Iterator[Outside]:
    server = Outside(authority.certify(HOST)).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def small() -> Iterator[Engine]:
    engine = Engine("small").start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def egress(folder: Path, outside: Outside, authority: Authority) -> Iterator[Egress]:
    (folder / "e").mkdir()
    host = parse("support/assistant/cloud", f"https://{HOST}:{outside.port}/v1")
    with leaving(folder / "e", (host,), authority.file, Signer(egress_seed(MASTER)).public) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(folder: Path, small: Engine, egress: Egress) -> Iterator[Asking]:
    (folder / "g").mkdir()
    with asking(folder / "g", {"small": small.port, "cloud": egress.port}) as running:
        # Until its chain is open everything stays inside, and the egress takes nothing signed when it began.
        until_ready(lambda: left(running.ask(CLEAN, x_caller="labelled")), egress.said)
        yield running


def left(answer: Answer) -> bool:
    return (answer.status, answer.headers.get("x-target")) == (200, "cloud Default")


@pytest.fixture(autouse=True)
def forget(gateway: Asking, outside: Outside, small: Engine) -> None:
    outside.asked.clear()
    outside.bytes = 0
    small.asked.clear()


def test_what_is_clean_leaves_as_it_came(gateway: Asking, outside: Outside, small: Engine) -> None:
    answer = gateway.ask(CLEAN, x_caller="labelled")
    assert (answer.status, answer.json) == (200, {"served_by": "outside"})
    assert [asked.body for asked in outside.asked] == [CLEAN]
    told = {name.lower(): value for name, value in outside.asked[0].headers.items()}
    assert told["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in repr(answer)
    assert not small.asked


@pytest.mark.parametrize(
    ("raw", "caller"), [(body(IBAN), "labelled"), (CLEAN, "stranger"), (body("x" * 2**20), "labelled")]
)
def test_what_stays_leaves_no_byte_outside(
    gateway: Asking, outside: Outside, small: Engine, raw: bytes, caller: str
) -> None:
    assert gateway.ask(raw, x_caller=caller).headers["x-target"] == "small Instead"
    assert [asked.body for asked in small.asked] == [raw]
    assert outside.bytes == 0


def test_a_caller_brings_no_pass(gateway: Asking, egress: Egress, outside: Outside) -> None:
    """What the gateway lets through under a header of its own is the gateway's."""
    answer = gateway.ask(body(IBAN), x_caller="labelled", x_slm_pass="AAAA", x_slm_target="cloud")
    assert answer.headers["x-target"] == "small Instead"
    assert outside.bytes == 0


def test_one_line_of_each_log_is_of_one_request(gateway: Asking, egress: Egress) -> None:
    answer = gateway.ask(CLEAN, x_caller="labelled")
    assert left(answer)
    request = answer.headers["x-request-id"]
    (line,) = [line for line in egress.log() if line.get("request.id") == request]
    assert line["slm.decision.policy"].startswith("sha256:")
    records = [p.read_text() for p in (gateway.folder / "audit").glob("*")]
    assert any(request in text and line["slm.decision.policy"] in text for text in records)


def test_without_an_egress_what_may_leave_goes_nowhere(gateway: Asking, egress: Egress, outside: Outside) -> None:
    assert egress.envoy is not None
    egress.envoy.terminate()
    egress.envoy.wait(60)
    assert gateway.ask(CLEAN, x_caller="labelled").status == 503
    assert outside.bytes == 0
