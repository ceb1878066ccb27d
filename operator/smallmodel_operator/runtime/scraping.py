"""Where the controllers' numbers come from: the gateways, or a Prometheus that scrapes them."""

import logging

from smallmodel_operator.cluster.energy_meters import EnergyMeters
from smallmodel_operator.cluster.scraped_signals import ScrapedSignals
from smallmodel_operator.cluster.signals import Signals
from smallmodel_operator.runtime.settings import Settings

logger = logging.getLogger(__name__)


def signals_of(settings: Settings, signals: Signals) -> ScrapedSignals | None:
    """What Prometheus has of the gateways, where it is told; None: they are asked."""
    if not settings.prometheus_url:
        return None
    # Its client is an extra of the package, which our image has and a desk need not have.
    from smallmodel_operator.cluster.prometheus import Prometheus

    server = Prometheus(settings.prometheus_url, settings.prometheus_secret_dir)
    interval, match = settings.prometheus_scrape_seconds, settings.prometheus_match_labels
    logger.info("objectives are followed by what Prometheus at %s has scraped of the gateways", server.url)
    return ScrapedSignals(server, signals.gateways, interval, match)


def meters_of(settings: Settings) -> EnergyMeters | None:
    """What Prometheus has of pods' energy and processor time, where it is told; None: nobody is asked."""
    if not settings.prometheus_url:
        return None
    from smallmodel_operator.cluster.prometheus import Prometheus

    server = Prometheus(settings.prometheus_url, settings.prometheus_secret_dir)
    return EnergyMeters(server, settings.prometheus_match_labels)
