"""Unused weights make room in the claim for new ones. Never what a model uses, or may go back to. Pure."""

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import ROLE_EVICT, WEIGHTS_CLAIM
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Note
from smallmodel_operator.core.pod import USER_ID, pod_security
from smallmodel_operator.core.units import human
from smallmodel_operator.weights import jobs, moving, result, seen, source
from smallmodel_operator.weights.recipe import Made, converted_folder, quantized_folder
from smallmodel_operator.weights.types import WeightsRequest

EVICT_SECONDS: Final = 900
EVENT: Final = "WeightsEvicted"
FRESH_SECONDS: Final = 600
"""What was put or found there by then stays, whoever wanted it: clocks of nodes differ, and pods start late."""
FOLDER: Final = re.compile(r"(sha256|hf|moving|oci|quantized|converted)-[0-9a-f]{64}")
"""What downloads, copies, quantizations and conversions make. Nothing else in the claim is ever touched."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A folder of the claim. `touched`: when a Job last put or found it there, in seconds since 1970.

    `sha256`: of the file in it that was made, where one was. `made_of`: that of its parent, or the parent's folder.
    """

    folder: str
    size: int
    touched: float
    sha256: str = ""
    made_of: str = ""


def with_parents(stored: Iterable[Stored], keep: frozenset[str]) -> frozenset[str]:
    """What stays, and what it was made of: without it, an edit back would begin with a download or a conversion."""
    known = tuple(stored)
    named = {name: s.folder for s in known for name in (s.folder, s.sha256) if name}
    parents = {s.folder: named[s.made_of] for s in known if s.made_of in named}
    kept = set(keep)
    for folder in keep:
        while (folder := parents.get(folder, "")) not in kept | {""}:
            kept.add(folder)
    return frozenset(kept)


def choose(stored: Iterable[Stored], keep: frozenset[str], needed: int, free: int, before: float) -> tuple[Stored, ...]:
    """What goes, the longest untouched first and no more than it takes. Nothing, where all of it would not do.

    Args:
        stored: what the claim holds.
        keep: folders that are used or may be gone back to.
        needed: bytes the work has to find free.
        free: bytes that are.
        before: what was touched since then stays; seconds since 1970.
    """
    chosen: list[Stored] = []
    unused = (s for s in stored if s.folder not in keep and s.touched < before and FOLDER.fullmatch(s.folder))
    for one in sorted(unused, key=lambda s: (s.touched, s.folder)):
        if free >= needed:
            break
        chosen.append(one)
        free += one.size
    return tuple(chosen) if free >= needed else ()


def in_use(models: Iterable[Object], mounting: Iterable[Object]) -> frozenset[str] | None:
    """Folders that stay; None when every one does.

    Args:
        models: `spec.source`, `status.source`, the folders in `status.weights` and what `status.quantization` says of
            a conversion, of each SmallModel of the namespace.
        mounting: specs of their pods and of the templates these are made from, Jobs' included.
    """
    folders: set[str] = set()
    for model in models:
        weights = model.get("weights") or {}
        folders |= {_described(weights), _described(weights.get("previous") or {})}
        if (made := model.get("converted") or {}).get("digest"):
            folders.add(converted_folder(str(made["digest"]), str(made.get("type", ""))))
        wanted = _wanted(model.get("source") or {}, model.get("frozen") or {})
        if wanted is None:
            return None
        folders.add(wanted)
    for spec in mounting:
        claims = {
            volume["name"]
            for volume in spec.get("volumes") or ()
            if (volume.get("persistentVolumeClaim") or {}).get("claimName") == WEIGHTS_CLAIM
        }
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
            mounts = [m for m in container.get("volumeMounts") or () if m["name"] in claims]
            folders |= {str(mount.get("subPath", "")).partition("/")[0] for mount in mounts}
            folders |= _worked_with(container) if mounts else set()
    return frozenset(folders - {""})


def _described(known: Mapping[str, Any]) -> str:
    """The folder a status tells of. An earlier release did not note the one of a made type: its name tells."""
    return str(known.get("folder") or quantized_folder(str(known.get("artifact") or "")))


def _worked_with(container: Mapping[str, Any]) -> set[str]:
    """The folder a Job fills, and the one it reads: it mounts all of the claim."""
    args = [str(word) for word in container.get("args") or ()]
    named = [args[n + 1] for n, word in enumerate(args[:-1]) if word in ("--folder", "--parent", "--source")]
    within = [posixpath.relpath(path, source.MOUNT_PATH) for path in named if path.startswith(f"{source.MOUNT_PATH}/")]
    return {path.partition("/")[0] for path in within}


def _wanted(spec: Mapping[str, Any], frozen: Mapping[str, Any]) -> str | None:
    """The folder a model's source is; empty where it is none of the claim, None where it may be any of them."""
    try:
        # Of an image the folder it would be copied to; where it is mounted there is none of that name.
        where = source.placed(moving.place(moving.of_spec(spec, frozen)), image_volumes=False)
    except Refused:
        return ""
    if isinstance(where, source.ClaimSource):
        if where.claim != WEIGHTS_CLAIM:
            return ""
        return where.path.partition("/")[0] or None
    return where.folder if isinstance(where, source.Fetched) else ""


@dataclass(frozen=True, slots=True)
class Room:
    """How making room stands: `job` makes it or found none, `made` says it is there, `why_not` why it will not be."""

    job: Object | None = None
    problem: NotYet | None = None
    made: bool = False
    notes: tuple[Note, ...] = ()
    why_not: str = ""


def room(
    request: WeightsRequest, where: source.Source, snapshot: Snapshot, download: Object, said: result.Failure
) -> Room | None:
    """What follows for the claim from work that found it too full; None where nothing does.

    `download`: the Job that said so, whether it downloads or quantizes.
    """
    if said.reason is not Reason.CLAIM_FULL or not said.needed_bytes or not source.stored(where):
        return None
    if request.eviction != "WhenFull":
        return Room(why_not="Weights that no model uses are kept (downloads.eviction is Never).")
    if snapshot.in_use is None:
        return Room(why_not="A model uses all of the claim (pvc://), so nothing in it is removed.")
    attempt = seen.attempt(download)
    live = seen.youngest(snapshot, ROLE_EVICT, jobs.work(request, where))
    if live is None or seen.attempt(live) != attempt or (ended := seen.ended(live)) is None:
        keep = tuple(sorted(snapshot.in_use))
        job = _job(request, where, attempt, said.needed_bytes, keep, seen.began(download) - FRESH_SECONDS)
        return Room(job, NotYet(Reason.MAKING_ROOM, "The claim is full: unused weights make room.", after_seconds=30))
    # What it found stays known until the download is tried again.
    under_way = Reason.QUANTIZING if isinstance(where, Made) else Reason.DOWNLOADING
    return _after(seen.freed(snapshot, live), str(ended.get("message", "")), seen.planned(live), under_way)


def _job(
    request: WeightsRequest, where: source.Source, attempt: int, needed: int, keep: tuple[str, ...], before: float
) -> dict[str, Any]:
    """The Job that removes unused weights until `needed` bytes are free; folders to `keep` stay, and fresh ones."""
    args = ["evict-weights", "--root", source.MOUNT_PATH, "--needed", str(needed), "--before", str(int(before))]
    args += [word for folder in keep for word in ("--keep", folder)]
    volume = {"name": source.VOLUME, "persistentVolumeClaim": {"claimName": WEIGHTS_CLAIM}}
    security = {**pod_security(), "fsGroup": USER_ID, "fsGroupChangePolicy": "OnRootMismatch"}
    made = jobs.pod(request, args, security, [volume], [{"name": source.VOLUME, "mountPath": source.MOUNT_PATH}])
    return jobs.job(request, where, ROLE_EVICT, attempt, made, {"activeDeadlineSeconds": EVICT_SECONDS})


def _after(freed: result.Evicted | None, message: str, job: Object, under_way: Reason) -> Room:
    if freed is None:
        return Room(job, why_not=f"Making room did not work: {message or 'its pod left no result'}.")
    if not freed.folders:
        return Room(job, why_not=f"What no model uses or may go back to is {human(freed.unused_bytes)}, too little.")
    names = ", ".join(name[:19] for name in freed.folders[:4]) + (", …" if len(freed.folders) > 4 else "")
    what = f"{len(freed.folders)} unused weights ({human(freed.freed_bytes)}: {names}) made room in {WEIGHTS_CLAIM}."
    news = NotYet(under_way, f"{what} The work begins again.", after_seconds=30)
    return Room(problem=news, made=True, notes=(Note(EVENT, what, freed.freed_bytes),))
