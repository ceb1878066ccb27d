"""The only way out of the cluster, as a part of the operator's process."""

from collections.abc import Callable

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.egress import Egress, EgressSite
from smallmodel_operator.core.keys import Masters
from smallmodel_operator.runtime.settings import Settings


def egress_of(settings: Settings, client: Client, masters: Masters, changed: Callable[[], None]) -> Egress:
    """What keeps it; it does nothing where the chart has not installed it. `changed`: how it stands is another."""
    site = EgressSite(
        settings.egress_image,
        settings.egress_authorities,
        settings.namespace,
        settings.cluster_networks,
        settings.watch_namespaces or (None,),
    )
    return Egress(client, site if settings.egress_image else None, masters, changed)


def both(*heard: Callable[[], None]) -> Callable[[], None]:
    """One who hears for all."""

    def all_of_them() -> None:
        for one in heard:
            one()

    return all_of_them
