"""`slm status`: how models stand, in one table, with the sentence that says what to do."""

import asyncio
import json
import time
from typing import Any

import aiohttp
import yaml
from rich.console import Console
from rich.table import Table

from smallmodel_operator.cluster.access import NoCluster
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.units import human

POLL_SECONDS = 0.5


async def show(name: str, namespace: str | None, output: str, wait: int) -> int:
    """Print; 0 when there are models and every one shown is Ready. Without a namespace: those of all."""
    try:
        client = await Client.connect()
    except NoCluster as error:
        return _failed(str(error))
    try:
        models = await _wait(client, name, namespace, wait)
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
    elif models:
        _table(models, everywhere=namespace is None)
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


def _table(models: list[dict[str, Any]], *, everywhere: bool) -> None:
    table = Table(box=None, pad_edge=False)
    for column in (
        *(["NAMESPACE"] if everywhere else []),
        "NAME",
        "READY",
        "REASON",
        "REPLICAS",
        "QUANT",
        "MEMORY",
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
            _sentence(model),
        )
    Console().print(table)
