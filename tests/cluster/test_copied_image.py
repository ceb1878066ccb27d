"""Where nodes cannot mount images: weights from a real registry with a password, by a tag that moves, in the claim.

The registry listens on the node's own address over HTTPS, with a private authority. The cluster of the test has image
volumes; the operator is told not to use them.
"""

import base64
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hack.cluster import certificates, network
from hack.cluster.binaries import program
from tests.cluster.conftest import WEIGHTS, Bed, model
from tests.cluster.test_download import CA, OPERATOR, SYSTEM
from tests.fakes.registry import CONFIG, Pushed
from tests.unit.cli.test_copy_weights import LOGIN, TAR, USERS
from tests.unit.cli.test_unpack import tar

pytestmark = pytest.mark.long
"""The operator starts twice."""

PORT = 5443


@pytest.fixture
def copying(bed: Bed) -> Iterator[None]:
    """The operator as `downloads.imageVolumes: Never` and `caConfigMap` set it up."""
    settings = {"SLM_IMAGE_VOLUMES": "Never", "SLM_CA_CONFIG_MAP": CA}
    bed.kubectl("-n", SYSTEM, "set", "env", OPERATOR, *(f"{name}={value}" for name, value in settings.items()))
    bed.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")
    yield
    bed.kubectl("-n", SYSTEM, "set", "env", OPERATOR, *(f"{name}-" for name in settings))
    bed.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")


@pytest.fixture
def pushed(bed: Bed, namespace: str, tmp_path: Path) -> Iterator[tuple[str, Pushed]]:
    """Where the registry is, and who pushes to it. Its authority and its pull secret are in the namespace."""
    address = bed.node.addresses.node
    keys, host = tmp_path / "keys", f"{address}:{PORT}"
    certificates.make(keys, address, "10.0.0.0/24")
    (tmp_path / "users").write_text(USERS)
    auth = f"auth: {{htpasswd: {{realm: test, path: {tmp_path / 'users'}}}}}"
    tls = f", tls: {{certificate: {keys}/server.crt, key: {keys}/server.key}}"
    config = CONFIG.format(folder=tmp_path / "data", port=PORT, auth=auth, tls=tls).replace("127.0.0.1", address)
    (tmp_path / "registry.yml").write_text(config)
    meta = {"namespace": namespace}
    data = {"ca.crt": (keys / "ca.crt").read_text()}
    bed.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**meta, "name": CA}, "data": data})
    login = json.dumps({"auths": {host: {"auth": LOGIN}}}).encode()
    bed.apply(
        {
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": {**meta, "name": "regcred"},
            "data": {".dockerconfigjson": base64.b64encode(login).decode()},
        }
    )  # fmt: skip
    words = [*network.prefix(bed.node.name), program("registry"), "serve", str(tmp_path / "registry.yml")]
    with subprocess.Popen(words, env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"}) as server:
        try:
            bed.until(lambda: listens(address), 30, f"the registry at {host}")
            yield host, Pushed(host, keys, LOGIN)
        finally:
            server.kill()


def listens(address: str) -> bool:
    with suppress(OSError), socket.create_connection((address, PORT), timeout=1):
        return True
    return False


def served_from(bed: Bed, namespace: str) -> list[dict[str, Any]]:
    """How the model's pods mount the weights."""
    spec = bed.get("deployment", "bot", namespace)["spec"]["template"]["spec"]
    return [m for c in spec["containers"] for m in c["volumeMounts"] if m["name"] == "weights"]


def test_an_image_is_copied_into_the_claim_and_a_tag_that_moves_changes_nothing(
    bed: Bed, namespace: str, copying: None, pushed: tuple[str, Pushed]
) -> None:
    host, registry = pushed
    layer = registry.blob("team/bot", tar(("models/bot.gguf", WEIGHTS.read_bytes()), ("LICENSE", b"MIT")), TAR)
    first = registry.image("team/bot", "v1", layer)
    source = {"uri": f"oci://{host}/team/bot:v1", "allowMutable": True}
    bed.apply(model("bot", namespace, "", source=source))

    def refused() -> str:
        condition = bed.condition("bot", namespace, "WeightsReady")
        return str(condition.get("message")) if condition.get("reason") == "SourceUnauthorized" else ""

    assert "imagePullSecrets" in bed.until(refused, 240, "SourceUnauthorized")
    patch = json.dumps({"imagePullSecrets": [{"name": "regcred"}]})
    bed.kubectl("-n", namespace, "patch", "serviceaccount", "default", "-p", patch)
    bed.apply(model("bot", namespace, "", source=source, engine={"contextSize": 384}))
    ready = bed.ready("bot", namespace, 300)
    frozen, described = ready["status"]["source"], ready["status"]["weights"]
    assert frozen["uri"] == f"oci://{host}/team/bot@{first}"
    assert (described["digest"], described["file"]) == (first, "models/bot.gguf")
    folder = f"oci-{first.removeprefix('sha256:')}"
    (mount,) = served_from(bed, namespace)
    assert (mount["subPath"], mount["readOnly"]) == (f"{folder}/files", True)

    registry.image("team/bot", "v1", registry.blob("team/bot", tar(("note.txt", b"no model any more")), TAR))
    bed.kubectl("-n", SYSTEM, "rollout", "restart", OPERATOR)
    bed.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")
    bed.apply(model("bot", namespace, "", source=source, engine={"contextSize": 256}))
    again = bed.ready("bot", namespace, 300)
    assert again["status"]["source"] == frozen, "neither a restart nor an edit asks anew"
    assert [m["subPath"] for m in served_from(bed, namespace)] == [f"{folder}/files"]

    second = registry.image(
        "team/bot", "v1", registry.blob("team/bot", WEIGHTS.read_bytes(), "application/vnd.docker.ai.gguf.v3")
    )
    bed.apply(model("bot", namespace, "", source={**source, "resolveGeneration": 2}))

    def described_now() -> bool:
        weights = bed.get("smallmodel", "bot", namespace).get("status", {}).get("weights", {})
        return bool(weights.get("digest") == second)

    bed.until(described_now, 240, "the artifact the tag names now")
    bed.ready("bot", namespace, 300)
