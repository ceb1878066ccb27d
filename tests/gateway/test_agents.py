"""The example's agent on the real llama-server behind the real Envoy: the loop works, and ends where its route says."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.install.example import WEIGHTS
from hack.true_size.server import serving
from tests.gateway.running import Gateway
from tests.gateway.states import SUPPORT, model, state_of
from tests.gateway.test_tools import Bounded

from smallmodel_operator.gateway.routed import Route

pytestmark = pytest.mark.long
EXAMPLE = Path(__file__).parents[2] / "examples" / "19-an-agent-with-three-tools"
TOOLS = {"find_order", "order_status", "refund_rules"}


def route() -> Route:
    """The example's own, in the namespace of the tests."""
    objects = list(yaml.safe_load_all((EXAMPLE / "model.yaml").read_text()))
    body = next(o for o in objects if o["kind"] == "ModelRoute")
    meta = {**body["metadata"], "namespace": "support", "creationTimestamp": "2026-11-20T10:00:00Z"}
    return Route.of({**body, "metadata": meta})


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bounded]:
    folder = tmp_path_factory.mktemp("a")
    shutil.copy(WEIGHTS, folder / "model.gguf")
    found = route()
    with serving(folder / "model.gguf", 1024, 1) as server:
        server.wait()
        state = state_of((model("support/general"),), {"support/general": server.port}, routes={found.path: found})
        with Gateway(folder / "e", state) as gateway:
            made = Bounded(gateway)
            made.begin()
            yield made
            made.end()


def run(desk: Bounded, program: str, *words: str, **environment: str) -> Any:
    said = {
        "OPENAI_BASE_URL": f"http://127.0.0.1:{desk.gateway.port}/support/v1",
        "OPENAI_API_KEY": SUPPORT,
        "MODEL": "agents",
    }
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / program), *words],
        env={**os.environ, **said, **environment}, check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_the_loop_calls_tools_that_are_allowed_and_ends(desk: Bounded) -> None:
    desk.records.clear()
    found = run(desk, "agent.py")
    assert len(found["calls"]) == 3
    assert {one["tool"] for one in found["calls"]} <= TOOLS
    assert all(1 <= one["arguments"]["order"] <= 99 and one["result"] for one in found["calls"])
    assert found["answer"]
    assert [r.get("slm.tools.called") for r in desk.records] == [None, "1", "2", "3"]


def test_a_runaway_loop_is_stopped(desk: Bounded) -> None:
    found = run(desk, "agent.py", STEPS="9")
    assert len(found["calls"]) == 5
    assert (found["refused"]["status"], found["refused"]["code"]) == (403, "too_many_tool_calls")


def test_a_fourth_tool_is_refused(desk: Bounded) -> None:
    tools = [{"type": "function", "function": {"name": "drop_orders"}}]
    answer = desk.ask(name="agents", tools=tools)
    assert (answer.status, answer.error["code"]) == (403, "tool_not_allowed")


def test_citations_are_of_given_documents_and_schemas_pass(desk: Bounded) -> None:
    found = run(desk, "cite.py", "How long do refunds take?")
    assert "refunds" in found["given"]
    assert found["cites"] in found["given"]
    assert set(found) == {"given", "cites", "answer"}
