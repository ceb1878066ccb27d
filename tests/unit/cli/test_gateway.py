"""`slm gateway`: what Envoy needs is there before it starts, and what is there already is kept."""

import importlib
import json
from pathlib import Path

import pytest

from smallmodel_operator.cli import gateway


def test_prepare_writes_what_is_missing_and_keeps_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLM_GATEWAY_DIR", str(tmp_path))
    assert gateway.prepare() == 0
    assert json.loads((tmp_path / "bootstrap.json").read_text())["admin"]
    routes = tmp_path / "xds" / "rds.json"
    routes.write_text('{"from": "before"}')
    assert gateway.prepare() == 0
    assert routes.read_text() == '{"from": "before"}', "Envoy goes on with what it had"
    assert "nothing" in capsys.readouterr().out.splitlines()[-1]


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("SLM_GATEWAY_DIR", str(file / "below"))
    assert gateway.prepare() == 1
    assert str(file) in capsys.readouterr().err


def test_a_configuration_that_leads_outside_is_not_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLM_GATEWAY_DIR", str(tmp_path))
    module = importlib.import_module("smallmodel_operator.gateway.xds.bootstrap")
    monkeypatch.setattr(module, "_agent", lambda _: {"name": "agent", "type": "STRICT_DNS"})
    assert gateway.prepare() == 1
    said = capsys.readouterr().err
    assert "no configuration is written: it would lead outside the cluster: bootstrap -> cluster agent" in said
    assert "STRICT_DNS" in said
    assert not (tmp_path / "bootstrap.json").exists()


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SLM_GATEWAY_HTTP_PORT", "many")
    assert gateway.prepare() == 2
    assert "SLM_GATEWAY_HTTP_PORT" in capsys.readouterr().err


def test_without_a_cluster_one_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLM_GATEWAY_DIR", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert gateway.run() == 2
    said = capsys.readouterr().err
    assert "no cluster to talk to" in said
    assert "KUBECONFIG" in said
    assert "Traceback" not in said


def test_where_nothing_may_be_served_without_a_record_envoy_begins_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLM_GATEWAY_DIR", str(tmp_path))
    assert gateway.prepare() == 0
    plain = (tmp_path / "bootstrap.json").read_text()
    assert not (tmp_path / "refuse").exists()
    assert str(tmp_path / "refuse") not in plain
    monkeypatch.setenv("SLM_AUDIT_ON_FAILURE", "Refuse")
    assert gateway.prepare() == 0
    assert (tmp_path / "refuse").read_bytes() == b"1"
    manager = json.loads((tmp_path / "bootstrap.json").read_text())["overload_manager"]
    (stop,) = [a for a in manager["actions"] if a["name"].endswith("stop_accepting_requests")]
    assert [trigger["name"].rpartition(".")[2] for trigger in stop["triggers"]] == ["fixed_heap", "injected_resource"]
    assert manager["resource_monitors"][-1]["typed_config"]["filename"] == str(tmp_path / "refuse")
