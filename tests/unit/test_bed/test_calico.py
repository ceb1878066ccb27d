"""What is said to Calico on the test bed's node, and what the test bed makes of its answers."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hack.cluster import calico, network
from hack.cluster.node import Node
from hack.cluster.plugins import Bridge, Calico, plugin

ADDRESSES = network.Addresses(7)


class Felix(HTTPServer):
    """Says of its readiness whatever `status` is."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Felix

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def felix(monkeypatch: pytest.MonkeyPatch) -> Iterator[Felix]:
    found = Felix()
    monkeypatch.setattr(calico, "HEALTH_PORT", found.server_port)
    monkeypatch.setattr(network.Addresses, "node", "127.0.0.1")
    yield found
    found.shutdown()
    found.server_close()


def test_it_is_up_when_felix_says_that_it_is_ready(felix: Felix) -> None:
    assert calico.answers(ADDRESSES)
    felix.status = 204
    assert calico.answers(ADDRESSES)
    felix.status = 503
    assert not calico.answers(ADDRESSES)
    assert felix.asked == ["/readiness"] * 3


def test_without_felix_it_is_not_up(felix: Felix) -> None:
    felix.shutdown()
    felix.server_close()
    assert not calico.answers(ADDRESSES)


def test_two_clusters_share_neither_folders_nor_addresses(tmp_path: Path) -> None:
    one, two = (
        calico.conflist(tmp_path / str(n), network.Addresses(n), tmp_path / str(n) / "kubeconfig", "node")["plugins"][0]
        for n in (1, 2)
    )
    assert {key for key in one if one[key] != two[key]} == {"log_file_path", "ipam", "kubernetes"}
    first, second = (calico.environment(network.Addresses(n), tmp_path / str(n), "node") for n in (1, 2))
    assert {key for key in first if first[key] != second[key]} == {"FELIX_HEALTHHOST", "KUBECONFIG"}


def test_felix_asks_nobody_outside_(tmp_path: Path) -> None:
    """Its usage report is a question to the world, which the count of what leaves would find."""
    assert calico.environment(ADDRESSES, tmp_path, "node")["FELIX_USAGEREPORTINGENABLED"] == "false"


def test_enforcement_is_switched_by_a_policy_of_calicos_own(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, str]] = []

    def kubectl(_: Node, *words: str, stdin: str | None = None, check: bool = True) -> str:
        said.append((words[0], json.loads(stdin or "{}")["metadata"]["name"]))
        return ""

    monkeypatch.setattr(Node, "kubectl", kubectl)
    found = Calico(Node("never-was"))
    found.enforce(False)
    found.enforce(True)
    assert said == [("apply", "slm-everything-goes"), ("delete", "slm-everything-goes")]


def test_what_switches_it_off_comes_before_every_networkpolicy() -> None:
    """Calico gives those of Kubernetes the order 1000; the first that matches decides."""
    spec = calico.EVERYTHING_GOES["spec"]
    assert spec["order"] < 1000
    assert spec["ingress"] == spec["egress"] == [{"action": "Allow"}]


def test_the_plugin_is_the_one_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLUSTER_NETWORK", raising=False)
    assert isinstance(Node("never-was").plugin, Bridge)
    monkeypatch.setenv("CLUSTER_NETWORK", "calico")
    assert isinstance(Node("never-was").plugin, Calico)


def test_an_unknown_plugin_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RuntimeError, match="CLUSTER_NETWORK='weave' is unknown: use bridge or calico"):
        plugin("weave", Node("never-was"))
