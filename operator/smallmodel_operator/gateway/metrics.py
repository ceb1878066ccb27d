"""Metrics of a gateway's agent. They live here so that logic never counts."""

from collections.abc import Iterable, Mapping

from prometheus_client import Counter, Gauge, Histogram, Info

SYNCED = Gauge("smallmodel_gateway_synced", "1 while what is listed and watched has been listed at least once.")
STALE_SECONDS = Gauge(
    "smallmodel_gateway_watch_age_seconds", "Seconds since the API server last said anything about a kind.", ["kind"]
)
MODELS = Gauge("smallmodel_gateway_models", "Models in the configuration.")
ENDPOINTS = Gauge("smallmodel_gateway_endpoints", "Endpoints requests may go to, over all models.")
IN_FLIGHT = Gauge(
    "smallmodel_gateway_requests_in_flight", "Requests that pass to pods of a model now.", ["namespace", "model"]
)
KEYS = Gauge("smallmodel_gateway_keys", "Callers' keys that are known.")
WRITES = Counter("smallmodel_gateway_config_writes", "Configuration files replaced, by file.", ["file"])
WRITE_FAILURES = Counter("smallmodel_gateway_config_write_failures", "Configurations that could not be written.")
LEAKS = Counter(
    "smallmodel_gateway_config_leaks", "Configurations not written because they would lead outside the cluster."
)
RENDER_SECONDS = Histogram(
    "smallmodel_gateway_config_render_seconds", "Duration of making and writing the whole configuration.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)  # fmt: skip
REFUSED = Gauge(
    "smallmodel_gateway_config_refused", "1 while Envoy refuses the newest content of a configuration file.", ["file"]
)
ENVOY_READY = Gauge("smallmodel_gateway_envoy_ready", "1 while this gateway's Envoy takes requests.")
WAKES = Counter("smallmodel_gateway_wakes", "Deployments scaled from 0 to 1 by this gateway.")
WAKE_FAILURES = Counter("smallmodel_gateway_wake_failures", "Wakes the API server did not take.")
STOPPED = Gauge(
    "smallmodel_gateway_inference_stopped",
    "1 while this gateway refuses requests to models of a namespace (* is every one) because of ClusterBoundary.",
    ["namespace"],
)
CUT = Counter("smallmodel_gateway_cut_requests", "Running requests cut because inference was stopped.")
BUILD = Info("smallmodel_gateway_build", "Version of the gateway's agent, and the name of its pod.")


_passing: dict[str, int] = {}
"""What IN_FLIGHT says, by target."""


def passing(requests: Mapping[str, int]) -> None:
    """What passes now, by target; models that are gone leave no series.

    Series stay where they are: another thread reads them meanwhile, and must not find a part.
    """
    for target in _passing.keys() - requests.keys():
        IN_FLIGHT.remove(*target.split("/", 1))
        del _passing[target]
    for target, number in requests.items():
        if _passing.get(target) != number:
            IN_FLIGHT.labels(*target.split("/", 1)).set(number)
            _passing[target] = number


_stopped: set[str] = set()
"""Namespaces STOPPED has a series of."""


def stopped(everywhere: bool, namespaces: Iterable[str]) -> None:
    """What is stopped now; the series of the whole cluster is always there."""
    now = set(namespaces)
    STOPPED.labels("*").set(everywhere)
    for name in _stopped - now:
        STOPPED.remove(name)
    for name in now:
        STOPPED.labels(name).set(1)
    _stopped.clear()
    _stopped.update(now)


def file_of(name: str) -> str:
    """The label of a file: endpoints of all models share one."""
    return "eds" if name.startswith("xds/eds/") else name.rsplit("/", 1)[-1].removesuffix(".json")
