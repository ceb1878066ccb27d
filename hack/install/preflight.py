"""Looks before anything is built or changed: rights, server version, registry."""

import json
import re
import ssl
import urllib.error
import urllib.request

from hack.install.registry import login_for
from hack.install.steps import Access, InstallError

OLDEST = (1, 34)
"""Keep equal to kubeVersion in Chart.yaml; a test compares them."""

REFERENCE = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$")


def check_registry_name(registry: str) -> str:
    """The registry and folder without a trailing slash, or InstallError."""
    if not registry:
        raise InstallError(
            "REGISTRY is empty. Name the registry and folder the cluster pulls from, like\n"
            "  make install REGISTRY=registry.internal/slm\n"
            "or use CLUSTER=kind or CLUSTER=testbed, which load images without a registry."
        )
    if "://" in registry or not REFERENCE.match(registry.rstrip("/")):
        raise InstallError(f"REGISTRY={registry} is not host[:port][/folder]; leave out http:// and tags.")
    return registry.rstrip("/")


def check_cluster(access: Access) -> str:
    """Version of the server, like v1.36.3. Raises InstallError without access, rights or a supported version."""
    try:
        answer = json.loads(access.kubectl("version", "-o", "json", "--request-timeout=10s"))
    except InstallError as error:
        raise InstallError(
            f"The cluster does not answer. Point KUBECONFIG at the right file or choose a context "
            f"(kubectl config use-context NAME).\n{error}"
        ) from None
    server = answer.get("serverVersion")
    if not server:
        raise InstallError("The cluster does not answer: kubectl version shows no server. Check KUBECONFIG.")
    check_version(server["gitVersion"])
    for verb, what in (("create", "customresourcedefinitions"), ("create", "clusterroles"), ("create", "namespaces")):
        if not may(access, verb, what):
            raise InstallError(
                f"You may not {verb} {what} in this cluster. Ask for cluster-admin for the installation, or have an "
                f"administrator install the chart; using models needs no such right."
            )
    return str(server["gitVersion"])


def check_version(version: str) -> None:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if not found or (int(found[1]), int(found[2])) < OLDEST:
        raise InstallError(
            f"The server is Kubernetes {version}; {OLDEST[0]}.{OLDEST[1]} or later is needed. Nothing was changed."
        )


def may(access: Access, verb: str, what: str) -> bool:
    try:
        return access.kubectl("auth", "can-i", verb, what).strip() == "yes"
    except InstallError:
        return False  # kubectl says "no" with exit code 1


def check_registry(registry: str, *, insecure: bool) -> None:
    """Asks the registry's /v2/ as every client does first. Raises InstallError when a push could not work."""
    host = registry.split("/", 1)[0]
    url = f"{'http' if insecure else 'https'}://{host}/v2/"
    request = urllib.request.Request(url)
    login = login_for(host)
    if login:
        request.add_header("Authorization", f"Basic {login}")
    try:
        with urllib.request.urlopen(request, timeout=10):
            return
    except urllib.error.HTTPError as error:
        asks = error.headers.get("WWW-Authenticate", "")
        if error.code in (401, 403) and login and asks.lower().startswith("bearer"):
            return  # a token service decides at the push; Basic on /v2/ proves nothing there
        if error.code in (401, 403):
            why = "refuses your login" if login else "wants a login"
            raise InstallError(
                f"The registry {host} {why}: run `docker login {host}` (or skopeo/podman login)."
            ) from None
        raise InstallError(f"{url} answers {error.code} {error.reason}; is {host} a container registry?") from None
    except (urllib.error.URLError, ssl.SSLError, TimeoutError, OSError) as error:
        reason = getattr(error, "reason", error)
        hint = " For a registry without TLS say INSECURE_REGISTRY=1." if not insecure else ""
        raise InstallError(f"The registry {host} cannot be reached: {reason}.{hint}") from None
