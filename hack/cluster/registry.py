"""Which clusters live on this machine: a number each, so that addresses never clash, whatever cache folder they use.

The list is in /run, like the namespaces it speaks of: a reboot takes both.
"""

import contextlib
import fcntl
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hack.cluster.network import namespace
from hack.cluster.paths import cache

FILE = Path("/run/smallmodel/clusters.json")
MOST = 51
"""Numbers 0 to 50: the address plan has room for no more."""


class Taken(RuntimeError):  # noqa: N818 - says what happened
    """The name belongs to a cluster made with another cache folder."""


def number(name: str) -> int:
    """The cluster's number, given out at the first question.

    Raises:
        Taken: another cache folder's cluster has this name, or all numbers are in use.
    """
    with _list() as known:
        entry = known.get(name)
        if entry is None:
            used = {e["number"] for e in known.values()}
            free = next((n for n in range(MOST) if n not in used), None)
            if free is None:
                raise Taken(f"{MOST} clusters live on this machine; remove one with `make cluster-down`")
            entry = known[name] = {"number": free, "cache": str(cache())}
        if entry["cache"] != str(cache()) and _gone(name, Path(entry["cache"])):
            entry["cache"] = str(cache())
        if entry["cache"] != str(cache()):
            raise Taken(
                f"a cluster {name!r} of another cache folder ({entry['cache']}) lives on this machine: "
                "choose another CLUSTER_NAME, or remove it with SLM_CACHE set to that folder"
            )
        return int(entry["number"])


def _gone(name: str, folder: Path) -> bool:
    """Somebody deleted the cache folder instead of the cluster: nothing is left that could take it down."""
    return not folder.exists() and not Path("/run/netns", namespace(name)).exists()


def forget(name: str) -> None:
    """The cluster is gone; with the last one the list goes too."""
    with _list() as known:
        known.pop(name, None)


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Whoever brings a cluster up or takes it down does so alone; others say that they wait, and wait."""
    FILE.parent.mkdir(exist_ok=True)
    with (FILE.parent / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"cluster {name!r} is being brought up or taken down elsewhere; waiting for it", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _list() -> Iterator[dict[str, Any]]:
    FILE.parent.mkdir(exist_ok=True)
    with (FILE.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
        yield known
        temporary = FILE.with_suffix(".new")
        temporary.write_text(json.dumps(known))
        temporary.replace(FILE)
