"""`slm status`: how models and routes stand, in one table, with the sentence that says what to do.

A model whose pods are well answers nobody while a ClusterBoundary stops inference, so both are read: its condition says
so too, a moment later, and not at all while the operator is away.
"""

import asyncio
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import yaml
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import BOUNDARY
from smallmodel_operator.boundary.stops import Stop, over, refused, stops
from smallmodel_operator.cli.connected import Unanswered, connected
from smallmodel_operator.cli.console import failed, stderr, stdout
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.units import human
from smallmodel_operator.weights.progress import in_words

POLL_SECONDS = 0.5
BAR_WIDTH = 20
FORBIDDEN: Final = 403
ROUTE: Final = "ModelRoute"


@dataclass(frozen=True, slots=True)
class Shown:
    """One reading: models and routes, and what stops inference.

    `unknown`: why the latter could not be read; empty: it was.
    """

    models: list[dict[str, Any]]
    stops: list[Stop]
    unknown: str = ""

    def refused(self, model: dict[str, Any]) -> str:
        """Why gateways refuse what is asked of it; empty: they do not."""
        return refused(over(self.stops, str(model["metadata"].get("namespace", ""))))

    def ready(self, model: dict[str, Any]) -> bool:
        """Is a request sent now answered?"""
        return _condition(model, "Ready").get("status") == "True" and not self.refused(model)

    def sentence(self, model: dict[str, Any]) -> str:
        """What to do about it."""
        why, own, ready = self.refused(model), _sentence(model), _condition(model, "Ready")
        same = ready.get("reason") == Reason.INFERENCE_STOPPED and own == ready.get("message")
        if why and (same or ready.get("status") == "True"):
            return why
        return "; ".join(text for text in (own, why) if text)

    @property
    def all_ready(self) -> bool:
        return bool(self.models) and all(map(self.ready, self.models))

    def settled(self, model: dict[str, Any]) -> bool:
        """Is it Ready as its newest spec says, with nothing under way and nothing wrong? What serves may be older."""
        newest = (model.get("status") or {}).get("observedGeneration") == model["metadata"].get("generation")
        busy = [kind for kind in ("Reconciling", "Stalled") if _condition(model, kind).get("status") == "True"]
        return self.ready(model) and newest and not busy

    @property
    def all_settled(self) -> bool:
        return bool(self.models) and all(map(self.settled, self.models))


async def show(name: str, namespace: str | None, output: str, wait: int, *, watch: bool = False) -> int:
    """Print; 0 when there are models and every one shown is Ready. Without a namespace: those of all.

    With `wait`, 0 only when each is Ready as its newest spec says: a version before it that still serves is not enough.
    `watch` draws the table anew as it changes, until all are Ready or `wait` seconds (0: no bound) have passed.
    """
    try:
        async with connected() as client:
            shown = await (_watch if watch else _wait)(client, name, namespace, wait)
    except Unanswered as error:
        return failed(str(error))
    models = shown.models
    if output == "json":
        print(json.dumps(models, indent=2))
    elif output == "yaml":
        print(yaml.safe_dump(models, sort_keys=False), end="")
    elif models and not watch:
        stdout().print(_table(shown, everywhere=namespace is None))
    if output in ("json", "yaml"):  # the objects are as the API server has them: what stops them is in none
        _tell({why for why in map(shown.refused, models) if why})
    if shown.unknown:
        _tell([f"Whether inference is stopped cannot be said: {shown.unknown}"])
    if not models:
        where = "this cluster" if namespace is None else f"namespace {namespace!r}"
        hint = "apply one (examples/01-first-model)" if namespace is None else "`-n NAMESPACE` names another, `-A` all"
        return failed(f"There is no SmallModel in {where}: {hint}.")
    return 0 if (shown.all_settled if wait else shown.all_ready) else 1


def _tell(sentences: Iterable[str]) -> None:
    for sentence in sorted(sentences):
        stderr().print(sentence, markup=False)


async def _wait(client: Client, name: str, namespace: str | None, seconds: int) -> Shown:
    end, told = time.monotonic() + seconds, ""
    while True:
        shown = await _read(client, name, namespace)
        open_models = [m for m in shown.models if not shown.settled(m)] if seconds else []
        if not open_models or time.monotonic() >= end:
            return shown
        said = "; ".join(f"{m['metadata']['name']}: {shown.sentence(m)}" for m in open_models)
        if said != told:
            stderr().print(said, markup=False)
            told = said
        await asyncio.sleep(POLL_SECONDS)


async def _watch(client: Client, name: str, namespace: str | None, seconds: int) -> Shown:
    """On a terminal in place; elsewhere each state once, below the one before."""
    end = time.monotonic() + seconds if seconds else float("inf")
    console, told = stdout(), ""
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            shown = await _read(client, name, namespace)
            seen = json.dumps([(m["metadata"]["name"], m.get("status"), shown.refused(m)) for m in shown.models])
            if shown.models and seen != told:
                table, told = _table(shown, everywhere=namespace is None), seen
                if console.is_terminal:
                    live.update(table, refresh=True)
                else:
                    console.print(table)
            if shown.all_settled or time.monotonic() >= end:
                return shown
            await asyncio.sleep(POLL_SECONDS)


async def _read(client: Client, name: str, namespace: str | None) -> Shown:
    if not name:
        models = await client.list("SmallModel", namespace)
        models += [{**route, "kind": ROUTE} for route in await client.list(ROUTE, namespace)]
    elif found := await client.get("SmallModel", name, namespace) or await client.get(ROUTE, name, namespace):
        models = [found]
    else:
        missing = f"SmallModel or ModelRoute {name!r} does not exist in namespace {namespace!r}"
        raise ApiError(404, "NotFound", missing)
    try:
        return Shown(models, stops(await client.get("ClusterBoundary", BOUNDARY) or {}))
    except ApiError as error:  # who may see models may not see this in every cluster
        if error.status != FORBIDDEN:
            raise
        return Shown(models, [], f"{error.message}; ClusterRole smallmodel-view gives the right.")


def _condition(model: dict[str, Any], kind: str) -> dict[str, Any]:
    conditions = (model.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), {})


def _sentence(model: dict[str, Any]) -> str:
    for kind in ("Stalled", "Reconciling"):
        condition = _condition(model, kind)
        if condition.get("status") == "True":
            return str(condition["message"])
    return str(_condition(model, "Ready").get("message", "not seen by the operator yet; is it running?"))


def _progress(status: dict[str, Any]) -> Table | str:
    """A bar and what it stands for; empty while nothing is downloaded."""
    said = status.get("download") or {}
    words = in_words(said)
    if not said.get("totalBytes"):
        return words
    grid = Table.grid(padding=(0, 1))
    grid.add_row(ProgressBar(total=100, completed=said.get("percent", 0), width=BAR_WIDTH), words)
    return grid


def _frozen(status: dict[str, Any]) -> str:
    """What a source that may move was resolved to; the whole of it stands in `status.source`."""
    said = status.get("source") or {}
    commit = str(said.get("uri", "")).partition("@")[2][:12] if str(said.get("uri", "")).startswith("hf://") else ""
    return commit or str(said.get("sha256", ""))[:12]


def _answering(model: dict[str, Any], status: dict[str, Any]) -> str:
    """Replicas that answer, or targets of a route."""
    if model.get("kind") == ROUTE:
        ready = sum(bool(target.get("ready")) for target in status.get("targets") or ())
        return f"{ready}/{len(model['spec']['targets'])} targets"
    return f"{status.get('readyReplicas', 0)}/{model['spec'].get('replicas', 1)}"


def _gate(status: dict[str, Any]) -> str:
    """What was measured of a made file against its parent; the gate let it pass."""
    said = status.get("weights") or {}
    if not said.get("meanDivergence"):
        return ""
    return (
        f"divergence {said['meanDivergence']}, {said.get('tailDivergence', '')} at 99.9 %; same top "
        f"{said.get('sameTopPercent', '')} %; perplexity x {said.get('perplexityRatio', '')}"
    )


def _table(shown: Shown, *, everywhere: bool) -> Table:
    downloads = any((m.get("status") or {}).get("download") for m in shown.models)
    frozen = any(_frozen(m.get("status") or {}) for m in shown.models)
    measured = any(_gate(m.get("status") or {}) for m in shown.models)
    table = Table(box=None, pad_edge=False)
    for column in (
        *(["NAMESPACE"] if everywhere else []),
        "NAME",
        "READY",
        "REASON",
        "REPLICAS",
        "QUANT",
        "MEMORY",
        *(["AGAINST PARENT"] if measured else []),
        *(["FROZEN"] if frozen else []),
        *(["DOWNLOAD"] if downloads else []),
        "MESSAGE",
    ):
        table.add_column(column, overflow="fold")
    for model in shown.models:
        status = model.get("status") or {}
        ready = _condition(model, "Ready")
        if ready.get("status") == "True" and shown.refused(model):
            ready = {"status": "False", "reason": Reason.INFERENCE_STOPPED}
        memory = (status.get("memory") or {}).get("requestedBytes", 0)
        table.add_row(
            *([model["metadata"]["namespace"]] if everywhere else []),
            model["metadata"]["name"],
            ready.get("status", "Unknown"),
            ready.get("reason", ""),
            _answering(model, status),
            (status.get("weights") or {}).get("quantization", ""),
            human(memory) if memory else "",
            *([_gate(status)] if measured else []),
            *([_frozen(status)] if frozen else []),
            *([_progress(status)] if downloads else []),
            shown.sentence(model),
        )
    return table
