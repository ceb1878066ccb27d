"""LoRA adapters of llama.cpp: where they are mounted, and which number each has in the engine.

A request names an adapter by its number, and the gateway writes that into it. While pods are replaced, old and new ones
answer the same requests, so a number must mean the same adapter in both, or nothing: a name keeps its number as long as
it is there, a new one is appended, and a number that became free is given away only by a later change. Until then the
place is held by another file, at scale 0 like all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from smallmodel_operator.core.engine import Adapter
from smallmodel_operator.core.facts import Object

FOLDER: Final = "/adapters"
FLAG: Final = "--lora-scaled"
FREE: Final = ""
"""The name of a place that holds no adapter."""


def places(before: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Names by number, for the next pods.

    Args:
        before: the same of the pods there are.
        wanted: names wished for, sorted.
    """
    kept = [name if name in wanted else FREE for name in before]
    new = [name for name in wanted if name not in before]
    if not any(name and name not in wanted for name in before):
        # What is free has been free since the change before: no gateway knows its last name any more.
        for number, name in enumerate(kept):
            if not name and new:
                kept[number] = new.pop(0)
    kept += new
    while kept and not kept[-1]:
        kept.pop()
    return tuple(kept)


def memory(sizes: Mapping[str, int], order: Sequence[str]) -> int:
    """Bytes of all places: one that is free holds another adapter's file, and takes its memory once more."""
    held = next((name for name in order if name), FREE)
    return sum(sizes.get(name or held, 0) for name in order)


def arguments(adapters: Sequence[Adapter], order: Sequence[str]) -> list[str]:
    """All of them in the order of their numbers, at scale 0: only what a request names is applied."""
    if not order:
        return []
    by_name = {a.name: a for a in adapters}
    held = next(name for name in order if name)
    files = [_file(by_name[name]) if name else _file(by_name[held], free=True) for name in order]
    return [FLAG, ",".join(f"{file}:0" for file in files)]


def _file(adapter: Adapter, *, free: bool = False) -> str:
    """Path in the container; of a free place spelled otherwise, so that it can be told."""
    return f"{FOLDER}/{'/' if free else ''}{adapter.name}/{adapter.path}"


def recorded(live: Object | None) -> tuple[str, ...]:
    """Names by number in a Deployment's newest template."""
    try:
        (engine, *_) = (live or {})["spec"]["template"]["spec"]["containers"]
        given = engine["args"]
        files = given[given.index(FLAG) + 1].split(",")
    except (KeyError, ValueError, IndexError, TypeError):
        return ()
    names = (file.removeprefix(f"{FOLDER}/").partition("/")[0] for file in files)
    return tuple(names)


def volumes(adapters: Sequence[Adapter]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One volume for each image, and a mount for each adapter."""
    images = {reference: f"adapters-{n}" for n, reference in enumerate(sorted({a.reference for a in adapters}))}
    made = [
        {"name": name, "image": {"reference": reference, "pullPolicy": "IfNotPresent"}}
        for reference, name in images.items()
    ]
    mounts = [
        {"name": images[a.reference], "mountPath": f"{FOLDER}/{a.name}", "readOnly": True}
        for a in sorted(adapters, key=lambda a: a.name)
    ]
    return made, mounts


def status(live: Object | None, order: Sequence[str], previous: Mapping[str, Any], *, settled: bool) -> dict[str, Any]:
    """What the gateways may let through, as an entry of the status; none where there are no adapters.

    Args:
        live: the Deployment.
        order: names by number in the template wanted now.
        previous: the status before.
        settled: every pod there is was made from the live template.
    """
    said = previous.get("adapters") or ()
    if not order and not said:
        return {}
    loaded = {(name, number) for number, name in enumerate(recorded(live)) if name}
    before = {(p.get("name"), p.get("id", 0)) for p in said if p.get("ready")}
    entries = [
        {"name": name, "id": number, "ready": (name, number) in loaded and (settled or (name, number) in before)}
        for number, name in enumerate(order)
        if name
    ]
    return {"adapters": entries}
