"""How long until N SmallModels have their children: our operator beside a bare kopf daemon, in the same run.

Each gets a fresh control plane (etcd, API server, controllers, scheduler, kwok), runs idle as a process of its own,
and then N models over ten artifacts are created at once. Progress goes to standard error; the last line of standard
output is one JSON object. Run it on an idle machine; it takes about three minutes for 1,000 models.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from hack.bench.bare import PLACE
from hack.cluster.binaries import program
from hack.cluster.controlplane import ControlPlane, control_plane
from hack.cluster.paths import REPOSITORY
from hack.ports import free_port
from hack.testing.fake_gateway import FakeGateway
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.cluster.kinds import KINDS
from smallmodel_operator.control import verdict
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.resolve import Site

ARTIFACTS = 10
AT_ONCE = 32
REST_SECONDS = 60
LIMIT_SECONDS = 600
NAMESPACE = "bench"
CHILDREN = {"Deployment": 1, "Service": 2, "NetworkPolicy": 1, "Secret": 2}
"""Objects of each kind that one model becomes."""
ENGINE = "registry.bench/slm/llamacpp@sha256:" + "e" * 64
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "fake-0", "annotations": {"kwok.x-k8s.io/node": "fake"}},
    "status": {k: {"cpu": "100k", "memory": "100Ti", "pods": "100000"} for k in ("allocatable", "capacity")},
}
PROFILE = {
    "apiVersion": "smallmodel.dev/v1alpha1",
    "kind": "ComputeProfile",
    "metadata": {"name": "default"},
    "spec": {"engines": [{"name": "LlamaCpp", "image": ENGINE}], "perReplica": {"cpu": "100m"}},
}
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "verbs": ["create", "update", "patch", "delete"], "users": ["admin"]},
        {"level": "None"},
    ],
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process has used: peak resident memory in MiB and CPU seconds."""

    peak_rss_mib: float
    cpu_seconds: float


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def model(number: int) -> dict[str, Any]:
    digest = f"sha256:{number % ARTIFACTS:064x}"
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "SmallModel",
        "metadata": {"name": f"model-{number:05d}", "namespace": NAMESPACE},
        "spec": {
            "source": {"uri": f"oci://registry.bench/models/shared@{digest}", "path": "model.gguf"},
            "compute": {"resources": {"requests": {"memory": "64Mi"}}},
        },
    }


def template() -> dict[str, Any]:
    """The objects and the status one model becomes, for the yardstick to write."""
    body = model(0)
    body["metadata"].update(name=PLACE, uid="0", generation=1)
    snapshot = Snapshot(now=datetime.now(UTC), profile=PROFILE)
    wish = verdict.understand(body, lambda _: PROFILE, Site())
    decision = verdict.decide(body, wish, snapshot, Site())
    seen = verdict.judge(body, snapshot, decision.plan, decision.hold)
    made = (*decision.plan.secrets, *decision.plan.objects)
    return {"objects": [o for o in made if o["kind"] in CHILDREN], "status": seen.status}


@contextmanager
def plane(name: str, folder: Path) -> Iterator[ControlPlane]:
    policy = folder / f"{name}-audit.json"
    policy.write_text(json.dumps(AUDIT))
    made = control_plane(
        f"bench-{name}",
        folder / name,
        components=("kube-controller-manager", "kube-scheduler", "kwok"),
        extra_apiserver=(f"--audit-policy-file={policy}", f"--audit-log-path={folder / name / 'audit.log'}"),
    )
    try:
        made.kubectl("apply", "--server-side", "-k", str(REPOSITORY / "crds"))
        made.established()
        for obj in (NODE, PROFILE):
            made.kubectl("apply", "--server-side", "-f-", stdin=json.dumps(obj))
        for namespace in (NAMESPACE, "smallmodel-system"):
            made.kubectl("create", "namespace", namespace)
        yield made
    finally:
        made.stop()


class Bench:
    """One measured operator on its own control plane."""

    def __init__(self, what: str, made: ControlPlane, command: list[str], port: int = 0, gateway: str = "") -> None:
        self._what, self._made, self._port = what, made, port
        self._log = made.folder / "operator.log"
        env = {
            **os.environ,
            "KUBECONFIG": str(made.kubeconfig),
            "SLM_HTTP_PORT": str(port),
            "SLM_GATEWAY_URLS": gateway,
        }
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(command, env=env, stdout=out, stderr=out, cwd=REPOSITORY)

    async def __aenter__(self) -> "Bench":
        configuration = Configuration()
        await config.load_kube_config(config_file=str(self._made.kubeconfig), client_configuration=configuration)
        self.client = Client(configuration, Fence.open())
        await asyncio.sleep(5)  # started, its watches open, idle
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def create(self, models: int) -> None:
        room = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with room:
                await self.client.create(model(number))

        await asyncio.gather(*(one(n) for n in range(models)))

    async def until_children(self, models: int) -> float:
        """Seconds from the first create until every model has all its children."""
        started, told = time.monotonic(), 0.0
        creating = asyncio.create_task(self.create(models))
        while True:
            counts = [await self._count(kind) // each for kind, each in CHILDREN.items()]
            past = time.monotonic() - started
            if min(counts) >= models:
                await creating
                return past
            if past - told >= 3:
                told = past
                say(f"{self._what}: {min(counts)} of {models} models have their children after {past:.0f} s")
            self._alive(past)
            await asyncio.sleep(0.2)

    async def until_ready(self, models: int, started: float) -> float:
        while True:
            found = await self.client.list("SmallModel", NAMESPACE, resourceVersion="0")
            ready = sum(_is_ready(m) for m in found)
            past = time.monotonic() - started
            say(f"{self._what}: {ready} of {models} Ready after {past:.0f} s")
            if ready >= models:
                return past
            self._alive(past)
            await asyncio.sleep(1)

    async def settled(self) -> None:
        """Until it has sent no write for five seconds."""
        last, since = await self.metric("apiserver_writes"), time.monotonic()
        while time.monotonic() - since < 5:
            await asyncio.sleep(0.5)
            if (now := await self.metric("apiserver_writes")) != last:
                last, since = now, time.monotonic()

    async def metric(self, name: str) -> float:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self._port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return float(next(x for x in lines if x.startswith(f"smallmodel_operator_{name} ")).split()[1])

    def writes_seen(self) -> int:
        """Writes of the operator by the API server's own audit log, the Lease left out."""
        events = (json.loads(line) for line in (self._made.folder / "audit.log").read_text().splitlines())
        return sum(
            e.get("userAgent") == "smallmodel-operator" and e.get("objectRef", {}).get("resource") != "leases"
            for e in events
        )

    def cost(self) -> Cost:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return Cost(round(int(peak) / 1024, 1), round(ticks / os.sysconf("SC_CLK_TCK"), 1))

    async def _count(self, kind: str) -> int:
        answer = await self.client.request("GET", KINDS[kind].path(NAMESPACE), query={"limit": "1"})
        return len(answer.get("items") or ()) + int(answer["metadata"].get("remainingItemCount", 0))

    def _alive(self, past: float) -> None:
        if self._process.poll() is not None or past > LIMIT_SECONDS:
            tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
            raise SystemExit(f"{self._what} did not finish (exit code {self._process.poll()}):\n{tail}")


def _is_ready(body: dict[str, Any]) -> bool:
    conditions = (body.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


async def measure_bare(models: int, folder: Path) -> tuple[float, Cost]:
    wanted = folder / "template.json"
    wanted.write_text(json.dumps(template()))
    with plane("bare", folder) as made:
        async with Bench("bare daemon", made, [sys.executable, "-m", "hack.bench.bare", str(wanted)]) as bench:
            return await bench.until_children(models), bench.cost()


def _kubectl(made: ControlPlane) -> tuple[str, ...]:
    return (program("kube", "kubectl"), "--kubeconfig", str(made.kubeconfig))


async def measure_ours(models: int, folder: Path, rest: int) -> dict[str, Any]:
    port = free_port()
    with plane("ours", folder) as made, FakeGateway([*_kubectl(made)]) as gateway:
        command = [sys.executable, "-m", "smallmodel_operator", "run"]
        async with Bench("our operator", made, command, port, gateway.url) as bench:
            started = time.monotonic()
            children = await bench.until_children(models)
            ready = await bench.until_ready(models, started)
            await bench.settled()
            calls, cost = await bench.metric("apiserver_requests"), bench.cost()
            before = bench.writes_seen()
            say(f"our operator: {before} writes so far; now {rest} s of rest")
            await asyncio.sleep(rest)
            return {
                "seconds_children": round(children, 1),
                "seconds_ready": round(ready, 1),
                "api_calls_per_model": round(calls / models, 1),
                "writes_at_rest_60s": bench.writes_seen() - before,
                "peak_rss_mib": bench.cost().peak_rss_mib,
                "cpu_seconds": cost.cpu_seconds,
            }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--rest", type=int, default=REST_SECONDS, help="seconds of rest that are watched")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slm-bench-") as scratch:
        folder = Path(scratch)
        bare, cost = await measure_bare(args.models, folder)
        say(f"bare daemon: {bare:.1f} s, {cost.peak_rss_mib} MiB, {cost.cpu_seconds} CPU seconds")
        ours = await measure_ours(args.models, folder, args.rest)
    result = {
        "models": args.models,
        "children_per_model": sum(CHILDREN.values()),
        "bare_seconds": round(bare, 1),
        "ratio": round(ours["seconds_children"] / bare, 2),
        "bare_peak_rss_mib": cost.peak_rss_mib,
        "bare_cpu_seconds": cost.cpu_seconds,
        **ours,
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
