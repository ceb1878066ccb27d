"""`slm status`: how models stand, and an exit code scripts can use."""

import asyncio
import json
from typing import Any

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.cli import status as module
from smallmodel_operator.cli.status import show


def place(api: FakeApiServer, name: str, ready: str, message: str = "", reason: str = "R", **status: Any) -> None:
    body = objects.model(name)
    conditions = [{"type": "Ready", "status": ready, "reason": reason, "message": message}]
    if ready == "False" and reason == "R":
        conditions.append({"type": "Stalled", "status": "True", "reason": "X", "message": message})
    body["status"] = {"conditions": conditions, "observedGeneration": body["metadata"]["generation"], **status}
    body["metadata"]["uid"] = name
    api.put(body)


async def test_all_ready_is_0(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    place(connected, "a", "True", "1 of 1", readyReplicas=1)
    assert await show("", "support", "table", 0) == 0
    assert "a" in capsys.readouterr().out


async def test_one_that_is_not_ready_is_1_and_says_why(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    place(connected, "a", "True")
    place(connected, "b", "False", "no such profile")
    assert await show("", "support", "table", 0) == 1
    assert "no such profile" in capsys.readouterr().out


async def test_one_by_name_as_json(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    place(connected, "a", "True")
    place(connected, "b", "True")
    assert await show("a", "support", "json", 0) == 0
    assert [m["metadata"]["name"] for m in json.loads(capsys.readouterr().out)] == ["a"]


async def test_a_route_stands_beside_the_models(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    place(connected, "a", "True")
    connected.put(objects.route(small=1))
    assert await show("", "support", "table", 0) == 0
    (line,) = [text for text in capsys.readouterr().out.splitlines() if text.startswith("desk")]
    assert line.split()[1:5] == ["True", "Serving", "1/1", "targets"]
    assert await show("desk", "support", "json", 0) == 0
    assert [m["kind"] for m in json.loads(capsys.readouterr().out)] == ["ModelRoute"]


async def test_a_model_that_is_not_there(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert await show("gone", "support", "table", 0) == 1
    assert "'gone' does not exist in namespace 'support'" in " ".join(capsys.readouterr().err.split())


async def test_an_api_server_that_is_away_is_told(connected: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    connected.down = True
    assert await show("", "support", "table", 0) == 1
    assert "the API server does not answer" in " ".join(capsys.readouterr().err.split())


async def test_without_a_cluster_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    assert await show("", "support", "table", 0) == 1
    assert "point KUBECONFIG at" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("namespace", "says"), [("support", "`-A` all"), (None, "examples/01-first-model")])
async def test_an_empty_namespace_is_not_ready_and_says_where_to_look(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], namespace: str | None, says: str
) -> None:
    assert await show("", namespace, "table", 0) == 1
    assert says in " ".join(capsys.readouterr().err.split())


async def test_all_namespaces(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    place(connected, "a", "True")
    body = objects.model("b")
    body["metadata"].update(namespace="legal", uid="b")
    body["status"] = {"conditions": [{"type": "Ready", "status": "True", "reason": "R", "message": ""}]}
    connected.put(body)
    assert await show("", None, "table", 0) == 0
    head, *rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert head == ["NAMESPACE", "NAME"]
    assert sorted(rows) == [["legal", "b"], ["support", "a"]]


async def test_waiting_ends_when_it_is_ready(connected: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    place(connected, "a", "False", "starting")
    waiting = asyncio.create_task(show("a", "support", "json", 10))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    place(connected, "a", "True")
    async with asyncio.timeout(5):
        assert await waiting == 0


@pytest.mark.parametrize("left", ["Reconciling", "Stalled", "observedGeneration"])
async def test_waiting_is_for_the_newest_spec_not_for_what_serves_meanwhile(
    connected: FakeApiServer, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """A rollout was called done while its first pod was starting."""
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    conditions = [
        {"type": "Ready", "status": "True", "reason": "Serving", "message": "1 of 1"},
        {"type": left, "status": "True", "reason": "RollingOut", "message": "0 of 1"},
    ]
    older = {"observedGeneration": 0} if left == "observedGeneration" else {}
    place(connected, "a", "True", **{"conditions": conditions, **older})
    assert await show("a", "support", "json", 0) == 0, "a request sent now is answered"
    waiting = asyncio.create_task(show("a", "support", "json", 10))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    place(connected, "a", "True")
    async with asyncio.timeout(5):
        assert await waiting == 0
    place(connected, "a", "True", **{"conditions": conditions, **older})
    assert await show("a", "support", "json", 1) == 1


async def test_waiting_has_an_end(connected: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.1)
    place(connected, "a", "False", "starting")
    assert await show("a", "support", "json", 1) == 1


DOWNLOADING = {"doneBytes": 2**30, "totalBytes": 2**32, "percent": 25, "secondsLeft": 600, "asOf": "…"}


async def test_a_download_has_a_bar_and_says_how_long_it_takes(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    place(connected, "a", "False", "downloading", download=DOWNLOADING)
    place(connected, "b", "True")
    assert await show("", "support", "table", 0) == 1
    out = capsys.readouterr().out
    assert "DOWNLOAD" in out
    assert "25 % of 4.0 GiB, 10 min left" in out
    assert "━━━━━" in out


async def test_what_a_moving_source_is_frozen_to_is_shown(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    place(connected, "a", "True", source={"uri": f"hf://org/bot@{'c' * 40}/m.gguf", "sha256": "d" * 64})
    place(connected, "b", "True", source={"uri": "https://h.test/m.gguf", "sha256": "e" * 64})
    place(connected, "c", "True")
    assert await show("", "support", "table", 0) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert "FROZEN" in head
    shown = {
        row.split()[0]: [word for word in row.split() if set(word) <= set("cde") and len(word) > 1] for row in rows
    }
    assert shown == {"a": ["c" * 12], "b": ["e" * 12], "c": []}


async def test_what_was_measured_of_a_made_file_is_shown(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    figures = {
        "meanDivergence": "0.0043",
        "tailDivergence": "0.11",
        "sameTopPercent": "97.2",
        "perplexityRatio": "1.01",
    }
    place(connected, "a", "True", weights={"quantization": "Q8_0", **figures})
    place(connected, "b", "True", weights={"quantization": "Q8_0"})
    assert await show("", "support", "table", 0) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert "AGAINST PARENT" in head
    assert "divergence 0.0043, 0.11 at 99.9 %; same top 97.2 %; perplexity x 1.01" in first
    assert "divergence" not in second


async def test_watch_shows_each_state_once_until_all_are_ready(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    place(connected, "a", "False", "downloading", download=DOWNLOADING)
    seen: list[str] = []

    async def follow() -> int:
        return await show("", "support", "table", 0, watch=True)

    async def until(words: str) -> None:
        async with asyncio.timeout(60):
            while words not in "".join(seen):
                await asyncio.sleep(0.01)
                seen.append(capsys.readouterr().out)

    task = asyncio.create_task(follow())
    await until("25 % of 4.0 GiB")
    place(connected, "a", "False", "downloading", download={**DOWNLOADING, "percent": 30})
    await until("30 % of 4.0 GiB")
    place(connected, "a", "True", "1 of 1")
    assert await task == 0
    out = "".join(seen) + capsys.readouterr().out
    assert [out.count(words) for words in ("25 % of", "30 % of", "1 of 1")] == [1, 1, 1]


async def test_watch_ends_when_the_time_is_over(connected: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    place(connected, "a", "False", "downloading")
    assert await show("", "support", "table", 1, watch=True) == 1


def stop(api: FakeApiServer, **spec: Any) -> None:
    body = {"apiVersion": "smallmodel.dev/v1alpha1", "kind": "ClusterBoundary", "metadata": {"name": "cluster"}}
    api.put({**body, "spec": spec})


async def test_a_model_whose_inference_is_stopped_is_not_ready_and_says_by_whom_and_the_undo(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pods are well, and the operator may not have told it yet; whoever asks it gets 503."""
    monkeypatch.setenv("COLUMNS", "300")
    place(connected, "a", "True", "1 of 1 replicas ready", readyReplicas=1)
    stop(connected, inference="Stopped", reason="ticket 7, j.doe")
    assert await show("", "support", "table", 0) == 1
    out = capsys.readouterr().out
    assert "InferenceStopped" in out
    assert "inference is stopped in the whole cluster (ticket 7, j.doe)" in out
    assert "`slm boundary unseal --all` allows it again" in out
    assert "1 of 1 replicas ready" not in out


async def test_a_stop_that_the_condition_tells_is_told_once(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    place(connected, "a", "False", "Inference is stopped in the whole cluster (old words).", "InferenceStopped")
    stop(connected, inference="Stopped", reason="ticket 7, j.doe")
    assert await show("", "support", "table", 0) == 1
    out = capsys.readouterr().out
    assert out.count("nference is stopped") == 1
    assert "ticket 7, j.doe" in out
    stop(connected)
    assert await show("", "support", "table", 0) == 1, "the condition counts where nothing stops it any more"
    assert "old words" in capsys.readouterr().out


async def test_a_stop_of_another_namespace_is_none_of_its_business(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    place(connected, "a", "True", "1 of 1")
    stop(connected, namespaces=[{"name": "legal", "inference": "Stopped", "reason": "leak"}])
    assert await show("", "support", "table", 0) == 0
    assert "stopped" not in capsys.readouterr().out
    stop(connected, namespaces=[{"name": "support", "inference": "Stopped", "reason": "leak"}])
    assert await show("", "support", "table", 0) == 1
    assert "`slm boundary unseal --namespace support`" in capsys.readouterr().out


async def test_what_is_wrong_with_a_stopped_model_is_said_too(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    place(connected, "a", "False", "no such profile")
    stop(connected, inference="Stopped")
    assert await show("", "support", "table", 0) == 1
    assert "no such profile; inference is stopped in the whole cluster" in capsys.readouterr().out


@pytest.mark.parametrize("output", ["json", "yaml"])
async def test_for_programs_the_objects_stay_as_they_are_and_the_stop_is_told_beside_them(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    place(connected, "a", "True", "1 of 1")
    stop(connected, inference="Stopped")
    assert await show("", "support", output, 0) == 1
    said = capsys.readouterr()
    assert "unseal --all" not in said.out
    assert "inference is stopped in the whole cluster" in " ".join(said.err.split())


async def test_who_may_not_read_the_boundary_is_told_that_a_stop_would_not_be_seen(
    connected: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    place(connected, "a", "True", "1 of 1")
    connected.refuse("GET", "clusterboundaries", 403, "Forbidden", "you may not")
    assert await show("", "support", "table", 0) == 0
    assert "Whether inference is stopped cannot be said: you may not" in " ".join(capsys.readouterr().err.split())


async def test_waiting_ends_when_inference_is_allowed_again(
    connected: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    place(connected, "a", "True", "1 of 1")
    stop(connected, inference="Stopped")
    waiting = asyncio.create_task(show("a", "support", "json", 10))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    stop(connected, inference="Allowed")
    async with asyncio.timeout(5):
        assert await waiting == 0
