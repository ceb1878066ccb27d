"""Pod Security Standards, level restricted, as a check of a pod's spec. Written from the standard's own table."""

from collections.abc import Mapping
from typing import Any

ALLOWED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip


def violations(spec: Mapping[str, Any]) -> list[str]:
    """What of the pod the level `restricted` refuses; empty when it passes."""
    found = [f"{field} is set" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    pod = spec.get("securityContext", {})
    if pod.get("sysctls"):
        found.append("sysctls are set")
    for volume in spec.get("volumes", []):
        found += [f"volume {volume['name']} is a {kind}" for kind in set(volume) - {"name"} - ALLOWED_VOLUMES]
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(kind, []):
            found += [f"{container['name']}: {v}" for v in _container(container, pod)]
    return found


def _container(container: Mapping[str, Any], pod: Mapping[str, Any]) -> list[str]:
    own = container.get("securityContext", {})
    found = []
    if own.get("privileged"):
        found.append("privileged")
    if own.get("allowPrivilegeEscalation") is not False:
        found.append("allowPrivilegeEscalation is not false")
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        found.append("runAsNonRoot is not true")
    if own.get("runAsUser", pod.get("runAsUser")) == 0:
        found.append("runs as user 0")
    profile = own.get("seccompProfile", pod.get("seccompProfile", {})).get("type")
    if profile not in ("RuntimeDefault", "Localhost"):
        found.append(f"seccomp profile is {profile}")
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        found.append("capabilities are not dropped")
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        found.append("capabilities are added")
    if any("hostPort" in p for p in container.get("ports", [])):
        found.append("a host port is used")
    return found
