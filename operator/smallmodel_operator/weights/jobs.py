"""The inspection and download Jobs, and the claim for downloads, as plain dicts.

A Job's template cannot change, so its name is a hash of all that is in it: another operator image or node selector
makes another Job, and the old one is pruned.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from smallmodel_operator.api.names import (
    GROUP,
    LABEL_ARTIFACT,
    LABEL_MANAGED_BY,
    OPERATOR,
    PROGRESS_PORT,
    ROLE_DOWNLOAD,
    ROLE_INSPECT,
    WEIGHTS_CLAIM,
    digest,
    labels,
    short_hash,
    step_name,
)
from smallmodel_operator.core.engine import GGUF
from smallmodel_operator.core.pod import USER_ID, container_security, pod_security
from smallmodel_operator.weights import image, pull_secret, result, source
from smallmodel_operator.weights.moving import is_frozen
from smallmodel_operator.weights.types import WeightsRequest

ANNOTATION_ATTEMPT: Final = f"{GROUP}/attempt"
"""How often this work was tried before; it lengthens the pause before the next try."""
ANNOTATION_ARTIFACT: Final = f"{GROUP}/artifact"
CONTAINER: Final = "weights"
INSPECT_SECONDS: Final = 900
"""Longest reading of a header, counted from the container's start: pulling the weights takes as long as it takes."""
HASH_SECONDS: Final = 7200
"""The same when all of the file is read to check its SHA-256: 20 GB from a slow network disk."""
DOWNLOAD_SECONDS: Final = 6 * 3600
CA_PATH: Final = "/etc/smallmodel-ca"
KEY_PATH: Final = "/etc/smallmodel-key"
KEY_FILE: Final = "key.pub"
CREDENTIALS_PATH: Final = "/etc/smallmodel-credentials"


def reading_seconds(request: WeightsRequest, where: source.Source) -> int:
    """How long an inspection's container may run before it is taken for hung (a network disk that is gone)."""
    hashed = request.verification or (isinstance(where, source.ClaimSource) and (where.sha256 or request.survey))
    return HASH_SECONDS if hashed else INSPECT_SECONDS


def work(request: WeightsRequest, where: source.Source) -> str:
    """Name of the work on an artifact: what was found without a signature, by another key or as another format is other
    work."""
    kind = layout(request, where)
    name = where.artifact if kind == GGUF else f"{where.artifact}!{kind}"
    # A download finds the same whatever is asked of it.
    asked = request.survey and not isinstance(where, source.Asked)
    name = f"{name}?{','.join(request.accept)}" if asked else name
    return f"{name}!{request.verification}" if request.verification else name


def layout(request: WeightsRequest, where: source.Source) -> str:
    """As what the weights are looked for: GGUF, Safetensors, or Either."""
    hub = where.origin if isinstance(where, source.MovingSource) else where
    if request.format != GGUF or not isinstance(hub, source.HubSource):
        return request.format
    return source.EITHER if request.convertible and not hub.sha256 and not hub.file.endswith(".gguf") else GGUF


def inspect(request: WeightsRequest, where: source.Source, attempt: int, claim_uid: str) -> dict[str, Any]:
    """The Job that reads a GGUF header. The weights are mounted read-only.

    It has no deadline of its own: Kubernetes would count the pull of the weights. See `reading_seconds`.
    """
    volume, mount, _ = source.volume(where)
    args, volumes, mounts = _look(request, where, claim_uid)
    args = ["inspect-weights", "--root", source.MOUNT_PATH, *args]
    spec = pod(request, args, pod_security(), [volume, *volumes], [mount, *mounts])
    return job(request, where, ROLE_INSPECT, attempt, spec)


def copy(
    request: WeightsRequest, where: source.CopiedImage, attempt: int, claim_uid: str, pull_secrets: tuple[str, ...]
) -> dict[str, Any]:
    """The Job that copies an image's files into the claim and then looks at them as an inspection does."""
    look, volumes, mounts = _look(request, where, claim_uid)
    args = ["copy-weights", "--image", where.reference, "--folder", f"{source.MOUNT_PATH}/{where.folder}", *look]
    logins = pull_secret.mounted(pull_secrets, CREDENTIALS_PATH)
    return _fetching(request, where, attempt, args, [*volumes, *logins[0]], [*mounts, *logins[1]])


def _look(
    request: WeightsRequest, where: source.Source, claim_uid: str
) -> tuple[list[str], list[dict[str, Any]], list[dict[str, Any]]]:
    """Arguments of a look at weights that are mounted or copied, and the volume and mount of the key they are signed
    by.
    """
    args = ["--artifact", where.artifact]
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    if request.survey:
        args += ["--survey", *(word for kind in request.accept for word in ("--accept", kind))]
    if where.path:
        args += ["--path", where.path]
    if request.format != GGUF:
        args += ["--format", request.format]
    if isinstance(where, source.ClaimSource):
        args += ["--sha256", where.sha256] if where.sha256 and not request.survey else []
    if isinstance(where, source.ClaimSource | source.CopiedImage):
        args += ["--claim", claim_uid]
    if request.verification:
        secret, _, entry = request.verification.partition("/")
        # Optional, so that a Secret that is not there is told by the Job and not by a pod that never starts.
        key = {"secretName": secret, "optional": True, "items": [{"key": entry, "path": KEY_FILE}]}
        volumes.append({"name": "key", "secret": key})
        mounts.append({"name": "key", "mountPath": KEY_PATH, "readOnly": True})
        args += ["--signed-by", request.verification, "--public-key", f"{KEY_PATH}/{KEY_FILE}"]
    return args, volumes, mounts


def inspect_adapters(request: WeightsRequest, where: source.AdapterSet, attempt: int) -> dict[str, Any]:
    """The Job that reads the headers of LoRA adapters. Each image is mounted once, read-only."""
    images = {reference: f"adapters-{n}" for n, reference in enumerate(sorted({a.reference for a in where.adapters}))}
    volumes = [
        {"name": name, "image": {"reference": reference, "pullPolicy": "IfNotPresent"}}
        for reference, name in images.items()
    ]
    mounts = [{"name": name, "mountPath": f"/{name}", "readOnly": True} for name in images.values()]
    args = ["inspect-adapters"]
    for one in where.adapters:
        args += ["--adapter", f"{one.name}=/{images[one.reference]}/{one.path}"]
    return job(request, where, ROLE_INSPECT, attempt, pod(request, args, pod_security(), volumes, mounts))


def download(
    request: WeightsRequest, where: source.Downloaded, attempt: int, claim_uid: str, sha256: str
) -> dict[str, Any]:
    """The Job that fetches one file, or a hub's folder, into the claim, checks it and reads its header."""
    args = ["fetch-weights", *wanted(request, where)]
    args += ["--sha256", sha256] if sha256 else []
    args += ["--frozen"] if is_frozen(request.wish) else []
    args += ["--folder", f"{source.MOUNT_PATH}/{where.folder}", "--artifact", where.artifact, "--claim", claim_uid]
    return _fetching(request, where, attempt, args)


def resolve(
    request: WeightsRequest, where: source.MovingSource, attempt: int, pull_secrets: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The Job that finds out what a source that may move holds now, and fetches what only its bytes tell."""
    if isinstance(where.origin, image.Name):
        args = ["resolve-weights", "--image", request.uri.removeprefix("oci://"), "--uri", request.uri]
        return _fetching(request, where, attempt, args, *pull_secret.mounted(pull_secrets, CREDENTIALS_PATH))
    args = ["resolve-weights", *wanted(request, where.origin)]
    args += ["--sha256", where.origin.sha256] if where.origin.sha256 else []
    args += ["--uri", request.uri, "--folder", f"{source.MOUNT_PATH}/{where.folder}"]
    return _fetching(request, where, attempt, args)


def _fetching(
    request: WeightsRequest,
    where: source.Fetched,
    attempt: int,
    args: list[str],
    more_volumes: Sequence[dict[str, Any]] = (),
    more_mounts: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """A Job with a way out, that writes to the claim unless it only asks."""
    args, volumes, mounts = [*args, "--port", str(PROGRESS_PORT)], [*more_volumes], [*more_mounts]
    if source.stored(where):
        volumes.insert(0, {"name": source.VOLUME, "persistentVolumeClaim": {"claimName": WEIGHTS_CLAIM}})
        mounts.insert(0, {"name": source.VOLUME, "mountPath": source.MOUNT_PATH})
    # A new file system belongs to root; fsGroup lets the download write to it.
    security = {**pod_security(), "fsGroup": USER_ID, "fsGroupChangePolicy": "OnRootMismatch"}
    made = pod(request, args, security, volumes, mounts)
    made["containers"][0]["ports"] = [{"name": "progress", "containerPort": PROGRESS_PORT, "protocol": "TCP"}]
    if request.ca_config_map:
        volumes.append({"name": "ca", "configMap": {"name": request.ca_config_map, "optional": True}})
        mounts.append({"name": "ca", "mountPath": CA_PATH, "readOnly": True})
        args += ["--ca-file", f"{CA_PATH}/ca.crt"]
    if request.credentials:
        # Optional, so that a pod starts without it and says what is missing.
        volumes.append({"name": "credentials", "secret": {"secretName": request.credentials, "optional": True}})
        mounts.append({"name": "credentials", "mountPath": CREDENTIALS_PATH, "readOnly": True})
        args += ["--secret", request.credentials]
    if request.proxy:
        pairs = {"HTTPS_PROXY": request.proxy, "NO_PROXY": request.no_proxy}
        made["containers"][0]["env"] = [{"name": name, "value": value} for name, value in pairs.items() if value]
    return job(request, where, ROLE_DOWNLOAD, attempt, made, {"activeDeadlineSeconds": DOWNLOAD_SECONDS})


def wanted(request: WeightsRequest, where: source.Downloaded) -> list[str]:
    """Arguments that say whom a download asks, and for what."""
    if isinstance(where, source.HttpsSource):
        return ["--url", where.url]
    if isinstance(where, source.BucketSource):
        address = source.address(where, request.hub, request.store)
        return ["--url", address, "--s3-region", request.store_region]
    words = ["--hub", request.hub, "--repository", where.repository, "--revision", where.revision]
    words += ["--file", where.file] if where.file else []
    kind = layout(request, where)
    return words if kind == GGUF else [*words, "--format", kind]


def claim(request: WeightsRequest) -> dict[str, Any]:
    """The claim downloads are kept in, one for each namespace. Never owned by a model, never pruned."""
    spec: dict[str, Any] = {
        "accessModes": [request.access_mode],
        "resources": {"requests": {"storage": request.claim_size}},
    }
    if request.storage_class:
        spec["storageClassName"] = request.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": WEIGHTS_CLAIM,
            "namespace": request.namespace,
            "labels": {"app.kubernetes.io/name": "smallmodel", LABEL_MANAGED_BY: OPERATOR},
        },
        "spec": spec,
    }


def pod(
    request: WeightsRequest,
    args: list[str],
    security: dict[str, Any],
    volumes: list[dict[str, Any]],
    mounts: list[dict[str, Any]],
) -> dict[str, Any]:
    container = {
        "name": CONTAINER,
        "image": request.job_image,
        "imagePullPolicy": "IfNotPresent",
        "args": args,
        "resources": {
            "requests": {"cpu": "50m", "memory": "96Mi"},
            "limits": {"cpu": "1", "memory": "256Mi"},
        },
        "securityContext": container_security(),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": security,
        "terminationGracePeriodSeconds": 5,
        "containers": [container],
        "volumes": volumes,
    }
    if request.node_selector:
        pod["nodeSelector"] = dict(request.node_selector)
    if request.tolerations:
        pod["tolerations"] = [dict(t) for t in request.tolerations]
    return pod


def job(
    request: WeightsRequest,
    where: source.Source,
    role: str,
    attempt: int,
    pod: dict[str, Any],
    bounds: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    marks = {**labels(request.name, role), LABEL_ARTIFACT: short_hash(work(request, where))}
    spec = {
        "backoffLimit": 2,
        **bounds,
        # What the user must change does not get better by trying again.
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {"operator": "In", "values": [result.EXIT_REFUSED, result.EXIT_LATER]},
                }
            ]
        },
        "template": {"metadata": {"labels": marks}, "spec": pod},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": step_name(request.name, role, digest([spec, attempt])),
            "namespace": request.namespace,
            "labels": marks,
            "annotations": {ANNOTATION_ATTEMPT: str(attempt), ANNOTATION_ARTIFACT: where.artifact},
        },
        "spec": spec,
    }
