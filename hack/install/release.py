"""The chart in the cluster: namespace, helm upgrade --install, helm uninstall."""

import json
from dataclasses import dataclass

from hack.install.steps import ROOT, Access, InstallError, say

NAMESPACE = "smallmodel-system"
RELEASE = "smallmodel"
CHART = ROOT / "charts" / "smallmodel-operator"
TIMEOUT = "5m"
OWNED = """
An object of the chart is there already and was made by other means (CRDs by `kubectl apply`, say). To hand it to Helm
run again with TAKE_OWNERSHIP=1 (needs Helm 3.17 or later); to keep bringing CRDs yourself set crds.install to false in
a file that VALUES names."""


@dataclass(frozen=True)
class Placed:
    """Where the images are now: the registry prefix, and a digest or a tag for each."""

    registry: str
    operator: str
    """`sha256:…` or a tag."""
    engine: str
    """Full reference of the engine's image."""
    gateway: str
    """Full reference of the gateway's image."""


def namespace_manifest() -> str:
    """The operator's namespace; whatever runs in it passes Pod Security restricted."""
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    return json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": levels}})


def values(placed: Placed) -> list[str]:
    """Helm arguments that pin the images."""
    how = "image.digest" if placed.operator.startswith("sha256:") else "image.tag"
    pairs = {
        "image.registry": placed.registry,
        how: placed.operator,
        "defaultProfile.engineImage": placed.engine,
        "gateway.image": placed.gateway,
    }
    return [part for key, value in pairs.items() for part in ("--set-string", f"{key}={value}")]


def install(access: Access, placed: Placed, extra: list[str]) -> str:
    """Creates or upgrades the release and waits until the operator is ready. Returns a line about it."""
    apply = ("apply", "--server-side", "--field-manager=smallmodel-install", "--force-conflicts", "-f", "-")
    access.kubectl(*apply, stdin=namespace_manifest())
    heal(access)
    command = ("upgrade", "--install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--wait", "--timeout", TIMEOUT)
    try:
        access.helm(*command, *values(placed), *extra)
    except InstallError as error:
        if "invalid ownership metadata" in str(error):
            raise InstallError(f"{error}\n{OWNED}") from None
        raise InstallError(f"{error}\n\n{trouble(access)}") from None
    return f"release {RELEASE} in {NAMESPACE}: revision {revision(access)}"


def history(access: Access) -> list[dict[str, object]]:
    try:
        found = json.loads(access.helm("history", RELEASE, "--namespace", NAMESPACE, "-o", "json"))
    except InstallError:
        return []
    return list(found)


def revision(access: Access) -> object:
    known = history(access)
    return known[-1]["revision"] if known else "none"


def heal(access: Access) -> None:
    """An interrupted Helm leaves its release pending and refuses to go on; put it back to where it was."""
    known = history(access)
    if not known or not str(known[-1]["status"]).startswith("pending"):
        return
    good = [entry for entry in known if entry["status"] in ("deployed", "superseded")]
    if good:
        say(f"      an interrupted upgrade is rolled back to revision {good[-1]['revision']}")
        access.helm("rollback", RELEASE, str(good[-1]["revision"]), "--namespace", NAMESPACE)
    else:
        say("      an interrupted installation is removed first")
        access.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--no-hooks")


def trouble(access: Access) -> str:
    """What the operator's pods say when the installation did not become ready."""
    try:
        pods = access.kubectl("-n", NAMESPACE, "get", "pods", "-o", "wide")
        events = access.kubectl(
            "-n",
            NAMESPACE,
            "get",
            "events",
            "--field-selector=type=Warning",
            "-o",
            "custom-columns=OBJECT:.involvedObject.name,REASON:.reason,MESSAGE:.message",
        )
    except InstallError as error:
        return str(error)
    return f"{pods}\n{events[-3000:]}"


def uninstall(access: Access) -> str:
    """Removes the release; CRDs, models and the default profile stay."""
    if not history(access):
        return f"release {RELEASE} is not installed in {NAMESPACE}; nothing to do"
    try:
        access.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", TIMEOUT)
    except InstallError as error:
        raise InstallError(
            f"{error}\nThe release hook did not finish. Look:\n"
            f"  kubectl -n {NAMESPACE} logs job/smallmodel-operator-release\n"
            f"Without it: helm uninstall {RELEASE} -n {NAMESPACE} --no-hooks, then delete the finalizer "
            f"smallmodel.dev/finalizer from each SmallModel."
        ) from None
    return (
        "operator removed; models keep serving, CRDs and ComputeProfile `default` stay "
        "(a reinstall takes them up again)"
    )
