"""`slm status`: how models stand, in one table, with the sentence that says what to do."""

import asyncio
import json
import time
from typing import Any

import aiohttp
import yaml
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from smallmodel_operator.cluster.access import NoCluster
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.units import human
from smallmodel_operator.weights.progress import in_words

POLL_SECONDS = 0.5
BAR_WIDTH = 20


async def show(name: str, namespace: str | None, output: str, wait: int, *, watch: bool = False) -> int:
    """Print; 0 when there are models and every one shown is Ready. Without a namespace: those of all.

    `watch` draws the table anew as it changes, until all are Ready or `wait` seconds (0: no bound) have passed.
    """
    try:
        client = await Client.connect()
    except NoCluster as error:
        return _failed(str(error))
    try:
        models = await (_watch if watch else _wait)(client, name, namespace, wait)
    except ApiError as error:
        return _failed(error.message)
    except (aiohttp.ClientError, TimeoutError) as error:
        return _failed(f"the API server does not answer: {str(error) or 'time is up'}")
    finally:
        await client.close()
    if output == "json":
        print(json.dumps(models, indent=2))
    elif output == "yaml":
        print(yaml.safe_dump(models, sort_keys=False), end="")
    elif models and not watch:
        Console().print(_table(models, everywhere=namespace is None))
    if not models:
        where = "this cluster" if namespace is None else f"namespace {namespace!r}"
        hint = "apply one (examples/01-first-model)" if namespace is None else "`-n NAMESPACE` names another, `-A` all"
        return _failed(f"There is no SmallModel in {where}: {hint}.")
    return 0 if models and all(_condition(m, "Ready").get("status") == "True" for m in models) else 1


def _failed(message: str) -> int:
    Console(stderr=True).print(message, style="red", markup=False)
    return 1


async def _wait(client: Client, name: str, namespace: str | None, seconds: int) -> list[dict[str, Any]]:
    end, told = time.monotonic() + seconds, ""
    while True:
        models = await _read(client, name, namespace)
        open_models = [m for m in models if _condition(m, "Ready").get("status") != "True"]
        if not open_models or time.monotonic() >= end:
            return models
        said = "; ".join(f"{m['metadata']['name']}: {_sentence(m)}" for m in open_models)
        if said != told:
            Console(stderr=True).print(said, markup=False)
            told = said
        await asyncio.sleep(POLL_SECONDS)


async def _watch(client: Client, name: str, namespace: str | None, seconds: int) -> list[dict[str, Any]]:
    """On a terminal in place; elsewhere each state once, below the one before."""
    end = time.monotonic() + seconds if seconds else float("inf")
    console, told = Console(), ""
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            models = await _read(client, name, namespace)
            seen = json.dumps([(m["metadata"]["name"], m.get("status")) for m in models])
            if models and seen != told:
                table, told = _table(models, everywhere=namespace is None), seen
                if console.is_terminal:
                    live.update(table, refresh=True)
                else:
                    console.print(table)
            ready = bool(models) and all(_condition(m, "Ready").get("status") == "True" for m in models)
            if ready or time.monotonic() >= end:
                return models
            await asyncio.sleep(POLL_SECONDS)


async def _read(client: Client, name: str, namespace: str | None) -> list[dict[str, Any]]:
    if not name:
        return await client.list("SmallModel", namespace)
    model = await client.get("SmallModel", name, namespace)
    if model is None:
        raise ApiError(404, "NotFound", f"SmallModel {name!r} does not exist in namespace {namespace!r}")
    return [model]


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


def _table(models: list[dict[str, Any]], *, everywhere: bool) -> Table:
    downloads = any((m.get("status") or {}).get("download") for m in models)
    frozen = any(_frozen(m.get("status") or {}) for m in models)
    table = Table(box=None, pad_edge=False)
    for column in (
        *(["NAMESPACE"] if everywhere else []),
        "NAME",
        "READY",
        "REASON",
        "REPLICAS",
        "QUANT",
        "MEMORY",
        *(["FROZEN"] if frozen else []),
        *(["DOWNLOAD"] if downloads else []),
        "MESSAGE",
    ):
        table.add_column(column, overflow="fold")
    for model in models:
        status = model.get("status") or {}
        ready = _condition(model, "Ready")
        memory = (status.get("memory") or {}).get("requestedBytes", 0)
        table.add_row(
            *([model["metadata"]["namespace"]] if everywhere else []),
            model["metadata"]["name"],
            ready.get("status", "Unknown"),
            ready.get("reason", ""),
            f"{status.get('readyReplicas', 0)}/{model['spec'].get('replicas', 1)}",
            (status.get("weights") or {}).get("quantization", ""),
            human(memory) if memory else "",
            *([_frozen(status)] if frozen else []),
            *([_progress(status)] if downloads else []),
            _sentence(model),
        )
    return table
