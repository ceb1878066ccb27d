"""Replicas follow an objective by way of a real Prometheus on the node; what happens when it dies in a burst."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hack.cluster import prometheus
from hack.install.__main__ import main as install
from tests.cluster.conftest import GATEWAYS, Bed, install_operator, model
from tests.cluster.test_objective import DOWN_SECONDS, SCALING, SELDOM_SECONDS, UP_SECONDS, Streams, _status, _wanted

PORT = 9095
SCRAPE_SECONDS = 5
LOST_SECONDS = 180
"""Two intervals, 15 s, and a minute in which the status may rest."""
DOWN_FOR_SECONDS = 60
"""So long it stays away after that is said."""


@dataclass(slots=True)
class Server:
    """Prometheus in the node's network."""

    bed: Bed
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.bed.node.addresses.node}:{PORT}"

    def start(self) -> None:
        pods = self.bed.items("pods", "smallmodel-system", GATEWAYS)
        targets = [(f"{p['status']['podIP']}:10091", p["metadata"]["name"]) for p in pods]
        assert len(targets) == 2, targets
        file = prometheus.config(self.folder, targets, f"{SCRAPE_SECONDS}s")
        words = prometheus.command(self.folder, file, f"0.0.0.0:{PORT}")
        with (self.folder / "prometheus.log").open("ab") as log:
            self.process = subprocess.Popen([*self.bed.node.prefix, *words], stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None


@pytest.fixture
def server(bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """It runs, and the chart is told of it; afterwards the chart is as it was."""
    try:
        prometheus.program()
    except prometheus.Missing as missing:
        pytest.skip(f"no Prometheus: {missing}")
    made = Server(bed, tmp_path)
    to = [{"ipBlock": {"cidr": f"{bed.node.addresses.node}/32"}}]
    values = {"url": made.url, "scrapeSeconds": SCRAPE_SECONDS, "to": to, "port": PORT}
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump({"metrics": {"service": True}, "prometheus": values}))
    try:
        monkeypatch.setattr(sys, "argv", ["install", "install", "--cluster", "testbed", "--values", str(file)])
        assert install() == 0
        for what in ("deploy/smallmodel-operator", "statefulset/smallmodel-gateway"):
            bed.kubectl("-n", "smallmodel-system", "rollout", "status", what, "--timeout=180s")
        made.start()
        yield made
    finally:
        made.kill()
        install_operator()


def _active(bed: Bed, namespace: str, reason: str) -> str:
    """What is said of the signals, once it is for this reason."""
    said = bed.condition("bot", namespace, "ScalingActive")
    return str(said.get("message", "")) if said.get("reason") == reason else ""


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_up_and_down_by_what_prometheus_says(bed: Bed, namespace: str, weights: dict[str, str], server: Server) -> None:
    bed.apply(model("bot", namespace, weights["first"], scaling=SCALING, engine={"parallelSlots": 1}))
    bed.ready("bot", namespace)
    bed.until(lambda: _status(bed, namespace).get("capacity", {}).get("version"), 60, "a measured replica")
    said = bed.until(lambda: _active(bed, namespace, "FollowingObjective"), 120, "signals")
    assert said == "Replicas follow the objective, by what Prometheus has scraped of the gateways."
    host = f"bot.{namespace}.svc.cluster.local"
    headers = {"Host": host, "Authorization": f"Bearer {bed.key('bot', namespace)}"}
    began = time.monotonic()
    with Streams(f"http://{bed.gateway()}/v1/completions", headers) as load:
        why = bed.until(lambda: _wanted(bed, namespace, 2), UP_SECONDS, "two replicas")
        up = time.monotonic() - began

        server.kill()  # in the burst
        lost = bed.until(lambda: _active(bed, namespace, "SignalsMissing"), LOST_SECONDS, "that it is missed")
        load.busy, busy = False, load.answered  # and the load ends unseen
        end = time.monotonic() + DOWN_FOR_SECONDS
        while time.monotonic() < end:
            assert _status(bed, namespace)["scaling"]["desired"] == 2, "unknown never scales down"
            time.sleep(1)

        server.start()
        bed.until(lambda: _active(bed, namespace, "FollowingObjective"), 120, "signals again")
        began = time.monotonic()
        bed.until(lambda: _wanted(bed, namespace, 1), DOWN_SECONDS, "one replica")
        down = time.monotonic() - began
        time.sleep(SELDOM_SECONDS + 2)
    assert not load.failures, load.failures[:5]
    assert busy > 10
    assert "2 instead of 1" in why
    assert f"Prometheus at {server.url} says nothing: no connection" in lost
    scaling = _status(bed, namespace)["scaling"]
    assert [d["replicas"] for d in scaling["decisions"]][-2:] == [2, 1], "no to and fro between"
    print(f"\nup after {up:.0f} s: {why}\nlost: {lost}\ndown after {down:.0f} s: {scaling['why']}")
