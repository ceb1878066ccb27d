"""A gateway with a target outside whose claim gets full, or does not answer any more, under load; with the real Envoys,
agent and record, and what was seen of it as JSON:

    unshare --mount --propagation private python -m tests.gateway.claim_faults FOLDER full|frozen Refuse|Continue

The claim is a file system of its own, seen in the mount namespace alone: one in memory that gets full for real,
or one in a file that is frozen, so that whoever writes waits.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.gateway.full_disk import OPTIONS, fill
from tests.gateway.outward import Outward, outward
from tests.gateway.outward_agent import agent
from tests.gateway.test_record import verified
from tests.gateway.under_load import Load

from smallmodel_operator.cli.audit_files import chains
from smallmodel_operator.gateway.record import door

FROZEN_SECONDS: Final = 180
"""Then somebody else thaws it."""
KEPT_BYTES: Final = 8 << 20


@contextmanager
def full(claim: Path, mode: str) -> Iterator[None]:
    """With Refuse less than it needs is left; else nothing."""
    fill(claim / "filler", KEPT_BYTES if mode == "Refuse" else 0)
    yield
    (claim / "filler").unlink()


@contextmanager
def frozen(claim: Path, mode: str) -> Iterator[None]:
    """Whoever writes waits, and cannot even be killed: somebody else thaws it, should this process end."""
    words = ["sh", "-c", f"sleep {FROZEN_SECONDS}; exec fsfreeze -u {claim}"]
    watch = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        subprocess.run(["fsfreeze", "-f", str(claim)], check=True)
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", str(claim)], check=False)
        os.killpg(watch.pid, signal.SIGKILL)  # its `sleep`, too, or that keeps the file system mounted
        watch.wait(10)


def mounted(folder: Path, fault: str) -> Path:
    claim = folder / "c"
    claim.mkdir()
    if fault == "full":
        words = ["mount", "-t", "tmpfs", "-o", OPTIONS, "slm-claim", str(claim)]
    else:
        image = folder / "claim.img"
        with image.open("wb") as file:
            file.truncate(256 << 20)
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
        words = ["mount", "-o", "loop", str(image), str(claim)]
    subprocess.run(words, check=True)
    return claim


def drill(way: Outward, claim: Path, fault: Callable[[Path, str], Any], mode: str) -> dict[str, Any]:
    """Before, while and after."""
    seen: dict[str, Any] = {}
    with agent(way, mode) as process:
        with Load(way) as load:
            seen["before"] = load.more()
            with fault(claim, mode):
                load.until(lambda: "outside" not in load.seen["named"][-5:])
                if mode == "Refuse":
                    load.settled("inside", "503 overloaded")
                seen["while"] = load.more()
            for kind in ("named", "ruled"):
                load.settled(kind, "outside")
            seen["after"] = load.more()
        seen["said"] = sorted({json.loads(asked.body)["messages"][0]["content"] for asked in way.outside.asked})
        seen["left"] = len(way.outside.asked)
        process.terminate()
        process.wait(60)
        seen["recorded"] = sum(
            r.body.get("slm.decision.target") == "cloud"
            for chain in chains([str(claim / "audit")])
            for r, _ in chain.records()
            if r is not None and r.kind == "decision"
        )
        seen["faults"] = [str(fault) for fault in verified(claim).faults]
    return seen


def main(folder: Path, fault: str, mode: str) -> None:
    claim = mounted(folder, fault)
    run = folder / "w" / "g"
    run.mkdir(parents=True)
    strict = {"refuse": True} if mode == "Refuse" else {}
    if strict:
        door.write(run / "refuse", closed=True)
    try:
        with outward(folder / "w", data=claim, **strict) as way:
            print(json.dumps(drill(way, claim, {"full": full, "frozen": frozen}[fault], mode)), flush=True)
    finally:
        subprocess.run(["umount", "--lazy", str(claim)], check=False)


if __name__ == "__main__":
    assert os.geteuid() == 0, "a file system can be mounted by root alone"
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
