"""How this process reaches its cluster: the credentials of its pod, else KUBECONFIG."""

import logging
import os
from pathlib import Path
from typing import Final

from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import Configuration

KUBECONFIG: Final = "~/.kube/config"
"""Where the variable of that name is not set."""


class NoCluster(Exception):  # noqa: N818
    """There are no usable credentials for any cluster."""


async def configuration() -> Configuration:
    """In-cluster credentials where there are some, else KUBECONFIG.

    Raises:
        NoCluster: neither is usable.
    """
    found = Configuration()
    try:
        if _in_cluster():
            kubernetes_config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
        else:
            logging.getLogger("kubernetes.aio.config.kube_config").setLevel(logging.ERROR)  # NoCluster says it
            named = os.environ.get("KUBECONFIG") or None  # the library's own look at it is as old as its import
            await kubernetes_config.load_kube_config(named, client_configuration=found)  # type: ignore[no-untyped-call]
    except Exception as error:  # the library raises TypeError and more for files that are no kubeconfig
        known = isinstance(error, (kubernetes_config.ConfigException, OSError))
        said = "no such file" if _missing() else error if known else "it is no kubeconfig"
        raise NoCluster(
            f"no cluster to talk to: {_named()}{said}; point KUBECONFIG at a file kubectl can use"
        ) from error
    return found


def _names() -> str:
    return "" if _in_cluster() else os.environ.get("KUBECONFIG", "") or KUBECONFIG


def _named() -> str:
    return f"{name}: " if (name := _names()) else ""


def _missing() -> bool:
    """The library takes a file that is not there for an empty one."""
    names = [Path(name).expanduser() for name in _names().split(os.pathsep) if name]
    return bool(names) and not any(name.exists() for name in names)


def _in_cluster() -> bool:
    token = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")  # the standard place, no secret
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and token.exists()
