"""The demo: cluster, chart, SmallModel, progress until Ready, twenty checked answers, a table of what was measured."""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.demo.ticker import working
from hack.demo_model.questions import Question, twenty
from hack.install.steps import ROOT, Access, InstallError, say

NAMESPACE, MODEL, CLIENT = "support", "support", "demo-client"
RIGHT = 18
WAIT_SECONDS = 300
ASK = Path(__file__).with_name("ask.py")
BOUNDARY = ROOT / "examples" / "06-stop-inference" / "boundary.yaml"


@dataclass(frozen=True, slots=True)
class Measured:
    """One run's figures: seconds, milliseconds, bytes."""

    ready_seconds: float
    ttft_ms: float
    tokens_per_second: float
    estimated: int
    requested: int
    used: int


def wait_ready(access: Access, started: float) -> dict[str, Any]:
    """The model once Ready; a line for each change on the way.

    Raises:
        InstallError: not Ready in time; the message is the model's own.
    """
    told = ""
    while True:
        model = json.loads(access.kubectl("-n", NAMESPACE, "get", "smallmodel", MODEL, "-o=json"))
        conditions = {c["type"]: c for c in model.get("status", {}).get("conditions", [])}
        if conditions.get("Ready", {}).get("status") == "True":
            return dict(model)
        text = _sentence(conditions)
        if text != told:
            say(f"      {time.monotonic() - started:5.1f} s  {text}")
            told = text
        if time.monotonic() - started > WAIT_SECONDS:
            raise InstallError(f"SmallModel {NAMESPACE}/{MODEL} is not Ready after {WAIT_SECONDS} s: {text}")
        time.sleep(0.2)


def _sentence(conditions: dict[str, Any]) -> str:
    for kind in ("Stalled", "Reconciling", "Ready"):
        condition = conditions.get(kind, {})
        if condition.get("status") == "True" or (kind == "Ready" and condition):
            return f"{condition['reason']}: {condition['message']}"
    return "waiting for the operator"


def start_client(access: Access, image: str) -> None:
    """A pod as an app team would have it: restricted, without an API token, the model's Secret by `envFrom`."""
    container = {
        "name": "app",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "envFrom": [{"secretRef": {"name": f"{MODEL}-client"}}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": CLIENT, "namespace": NAMESPACE},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }
    access.kubectl("-n", NAMESPACE, "delete", "pod", CLIENT, "--ignore-not-found", "--wait")
    access.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(pod))
    access.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", f"pod/{CLIENT}", "--timeout=120s")


def ask(access: Access, questions: list[Question]) -> dict[str, Any]:
    """All answers, asked from inside the pod through the cluster's DNS and the gateway."""
    request = json.dumps({"questions": [q.text for q in questions]})
    script = ASK.read_text()
    out = access.kubectl("-n", NAMESPACE, "exec", "-i", CLIENT, "--", "python3", "-c", script, stdin=request)
    return dict(json.loads(out.strip().splitlines()[-1]))


def memory_used(access: Access) -> int:
    """Peak memory of the engine's container in bytes, from its own cgroup (version 2 or 1)."""
    script = "cat /sys/fs/cgroup/memory.peak /sys/fs/cgroup/memory/memory.max_usage_in_bytes 2>/dev/null | head -n 1"
    pod = access.kubectl(
        "-n", NAMESPACE, "get", "pods", "-l", f"smallmodel.dev/model={MODEL},smallmodel.dev/role=server", "-o=name"
    ).split()[0]
    out = access.kubectl("-n", NAMESPACE, "exec", pod, "-c", "engine", "--", "/bin/sh", "-c", script)
    return int(out.strip() or 0)


def table(measured: Measured) -> str:
    """The figures as a small table."""
    mib = 2**20
    rows = [
        ("time to Ready", f"{measured.ready_seconds:.1f} s"),
        ("time to first token", f"{measured.ttft_ms:.0f} ms"),
        ("tokens per second", f"{measured.tokens_per_second:.0f}"),
        ("memory estimated", f"{measured.estimated / mib:.0f} MiB"),
        ("memory requested", f"{measured.requested / mib:.0f} MiB"),
        ("memory used (peak)", f"{measured.used / mib:.0f} MiB"),
    ]
    return "\n".join(f"      {name:<22}{value:>12}" for name, value in rows)


def judge(questions: list[Question], answers: list[str]) -> int:
    """How many are right; the wrong ones are printed."""
    right = 0
    for question, answer in zip(questions, answers, strict=True):
        if question.is_answered_by(answer):
            right += 1
        else:
            say(f"      wrong: {question.text!r} -> {answer!r}")
    return right


def declare_boundary(access: Access) -> None:
    """The cluster's boundary, as Git would own it: without one no record says whether the network enforces policies.

    One that is there stays as it is: somebody who tries the kill switch may have stopped inference with it.
    """
    if not access.kubectl("get", "clusterboundary", "cluster", "--ignore-not-found", "-o=name").strip():
        access.kubectl("apply", "--server-side", "-f", "-", stdin=BOUNDARY.read_text())


def demo(access: Access, client_image: str, apply: Any) -> int:
    """Everything after the operator is installed; 0 when enough answers are right."""
    say("[4/6] applying examples/06-stop-inference/boundary.yaml, if there is no boundary, and examples/01-first-model")
    declare_boundary(access)
    started = time.monotonic()
    apply()
    model = wait_ready(access, started)
    ready = time.monotonic() - started
    say(f"      {ready:5.1f} s  Ready")
    say("[5/6] asking as an app team: the openai client in a pod that has the model's Secret, through the gateway")
    start_client(access, client_image)
    questions, endpoint = twenty(), model["status"]["endpoint"]
    said = ask(access, questions)
    say(f"\n      {endpoint['url']}\n      Q: {questions[0].text}\n      A: {said['timed']['answer']}\n")
    right = judge(questions, said["answers"])
    say(f"[6/6] {right} of {len(questions)} questions, none worded as in the training text, answered right")
    memory, timed = model["status"]["memory"], said["timed"]
    say(table(Measured(ready, timed["ttft_ms"], timed["tokens_per_second"], memory["estimatedBytes"],
                       memory["requestedBytes"], memory_used(access))))  # fmt: skip
    if right < RIGHT:
        raise InstallError(f"only {right} of {len(questions)} answers are right; {RIGHT} are needed")
    return 0


def beginning() -> float:
    """Unix time at which `make` began, where it says so: to set up the virtual environment is part of the wait."""
    return float(os.environ.get("DEMO_BEGAN") or time.time())


def what_stays(name: str) -> str:
    """What to do with the cluster now. Without its name these would be about another one."""
    make = "make" if name in ("", "slm") else f"CLUSTER_NAME={name} make"
    return (
        f"The cluster stays up: `eval $({make} -s cluster-env)`, then `kubectl get slm -A`. Ask it with curl: "
        f"docs/how-to/call-a-model.md. `{make} cluster-down` removes it."
    )


def main() -> int:
    """Run the demo on the cluster CLUSTER names."""
    from hack.install.__main__ import main as install
    from hack.install.steps import fail

    cluster = os.environ.get("CLUSTER", "testbed")
    try:
        if cluster != "testbed":
            raise InstallError(
                "the demo brings its own cluster. On yours: `make install REGISTRY=…`, then `make example REGISTRY=…`"
            )
        began = beginning()
        say("[1/6] cluster: building what is missing (once), starting a real node in its own network namespace")
        access, image, apply = _prepare()
        say("[3/6] installing the operator from its chart")
        sys.argv = ["install", "install", "--cluster", "testbed"]
        if code := install():
            return code
        demo(access(), image, apply)
        say(f"\ndone in {time.time() - began:.0f} s. {what_stays(os.environ.get('CLUSTER_NAME', ''))}")
    except InstallError as error:
        return fail(error)
    except RuntimeError as error:
        return fail(InstallError(str(error)))
    return 0


def _prepare() -> tuple[Any, str, Any]:
    from hack.cluster import packages
    from hack.cluster.binaries import ensure
    from hack.cluster.node import TOOLS
    from hack.images.build import build_image
    from hack.install import example, testbed

    try:
        packages.ensure()
        for tool in TOOLS:  # each says itself when it has to be built
            ensure(tool)
        with working("starting etcd, kube-apiserver, containerd, kubelet and DNS"):
            node = testbed.node().up()
    except packages.Missing as error:
        raise InstallError(str(error)) from None
    say("[2/6] images: operator, gateway, engine, an app team's client, the model's weights")
    with working("the client's image"):
        toolbox = build_image("toolbox")
        node.load_image(toolbox.archive)
    with working("the model's weights"):
        example.load(node)
    return testbed.access, toolbox.reference, lambda: example.apply(testbed.access(), example.REGISTRY)


if __name__ == "__main__":
    sys.exit(main())
