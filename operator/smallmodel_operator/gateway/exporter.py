"""Models with an objective at /metrics, for who scales by Prometheus: what `GET /signals` says of them."""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import getitem
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from smallmodel_operator.core.exported import BIN, BINNED, EPOCH, METRICS, Metric, epoch_number

_MODEL: Final = ("namespace", "model")
Family = CounterMetricFamily | GaugeMetricFamily


class Exporter(Collector):
    """Each scrape finds one look: nothing of it is older or newer than the rest."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._models: Mapping[str, Mapping[str, Any]] = {}
        registry.register(self)

    def show(self, models: Mapping[str, Mapping[str, Any]]) -> None:
        """The `models` of `GET /signals`; empty while nothing is known. Those without an objective have no series."""
        self._models = {target: said for target, said in models.items() if "objective" in said}

    def collect(self) -> Iterable[Family]:
        models = self._models  # another thread may show the next look meanwhile
        for metric in METRICS:
            family = _family(metric, _MODEL)
            for target, said in models.items():
                family.add_metric(target.split("/", 1), _number(metric, said))
            yield family
        for metric in BINNED:
            family = _family(metric, (*_MODEL, BIN))
            for target, said in models.items():
                for number, count in _at(metric.path, said).items():
                    family.add_metric([*target.split("/", 1), number], count)
            yield family


def _family(metric: Metric, labels: Sequence[str]) -> Family:
    kind = CounterMetricFamily if metric.counter else GaugeMetricFamily
    return kind(metric.name, metric.text, labels=labels)


def _number(metric: Metric, said: Mapping[str, Any]) -> float:
    value = _at(metric.path, said)
    return float(epoch_number(value) if metric is EPOCH else value)


def _at(path: Sequence[str], said: Mapping[str, Any]) -> Any:
    return reduce(getitem, path, said)


OBJECTIVES: Final = Exporter()
"""Of this process: a registry takes each name once."""
