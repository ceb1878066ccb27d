"""How this process reaches its cluster: the credentials of its pod, else KUBECONFIG."""

import os
from pathlib import Path

from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import Configuration


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
            await kubernetes_config.load_kube_config(client_configuration=found)  # type: ignore[no-untyped-call]
    except (kubernetes_config.ConfigException, OSError) as error:
        raise NoCluster(f"no cluster to talk to: {error}; point KUBECONFIG at a file kubectl can use") from error
    return found


def _in_cluster() -> bool:
    token = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")  # the standard place, no secret
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and token.exists()
