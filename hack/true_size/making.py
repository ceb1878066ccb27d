"""What the steps of the conversion and quantization Jobs take on models of true size, beside the memory they are given.

`python -m hack.true_size.making SIZE:TYPE …`: each step runs its Job's own script in the converter image's tree, in a
memory cgroup with the Job's own limit. Progress goes to standard error; the last line is JSON; the exit code is 1 when
a step failed or was killed. The gate's text is the built-in one; a model of random weights passes or fails by chance,
so what it measures is said and not judged. Needs root.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hack.images import bases
from hack.true_size import repository
from hack.true_size.limited import cgroup, forget, usage
from hack.true_size.measure import telling
from smallmodel_operator.cli.convertible_folder import lay_out, look
from smallmodel_operator.cli.inspect_weights import read
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.quantization import gate
from smallmodel_operator.weights import convert, make
from smallmodel_operator.weights.recipe import CONTEXT

CASES = ("0.5b:Q4_K_M", "3b:Q4_K_M")
SCRIPTS = "/usr/share/doc/llama.cpp-tools/scripts"
"""Where the tree has the converter; the image copies it from there."""
TEXT = Path(gate.__file__).with_name("gate.txt")


class Bench:
    """A folder of work that a chroot in the image's tree sees as /mnt."""

    def __init__(self, work: Path, threads: int) -> None:
        self.work, self.root = work, bases.tree(bases.CONVERTER)
        self.environment = {
            "WORK": "/mnt", "HOME": "/mnt", "PATH": f"{make.PATHS}:{SCRIPTS}", "THREADS": str(threads),
            "OMP_NUM_THREADS": str(threads), "CONTEXT": str(CONTEXT), "CHUNKS": str(make.CHUNKS),
            "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VERSIONS": "",
        }  # fmt: skip

    def step(self, name: str, script: str, given: int, **words: str) -> dict[str, Any]:
        """One step in its memory; `given`: bytes."""
        enter = (
            'echo $$ >"$JOIN/cgroup.procs"; mount --make-rprivate / && mount --bind "$1" "$0/mnt" && '
            'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec /usr/sbin/chroot "$0" /bin/sh -ec "$2"'
        )
        began = time.monotonic()
        with cgroup(given) as made:
            with telling(f"{name} in {given // 2**20} MiB"):
                done = subprocess.run(
                    ["unshare", "-m", "sh", "-c", enter, str(self.root), str(self.work), script],
                    env={**self.environment, **words, "JOIN": str(made)},
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                )  # fmt: skip
            peak, kills = usage(made)
        if done.returncode:
            print(done.stdout[-2000:], file=sys.stderr, flush=True)
        taken = round(time.monotonic() - began, 1)
        said = {"given_bytes": given, "cgroup_peak_bytes": peak, "oom_kills": kills, "exit_code": done.returncode}
        return {"step": name, "seconds": taken, **said}


def run(case: str, work: Path, threads: int) -> list[dict[str, Any]]:
    """Convert, quantize, measure."""
    size, _, kind = case.partition(":")
    source = repository.ensure(size)
    facts = look(source, "", source.name)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    lay_out(work / "converted", source, {})
    bench = Bench(work, threads)
    for file in source.iterdir():
        (work / "converted" / file.name).unlink(missing_ok=True)
        os.link(file, work / "converted" / file.name)  # the chroot cannot follow a link out of it
        forget(file)
    rows = [bench.step("convert", convert.CONVERT, convert.memory(facts), OUTTYPE="bf16")]
    made = work / "made.gguf"
    if made.exists():
        made.rename(work / "parent.gguf")
        rows += _quantized(bench, read(work / "parent.gguf", "", ""), kind)
    return [{"case": case, "parameters": facts.parameters, "threads": threads, **row} for row in rows]


def _quantized(bench: Bench, parent: WeightsFacts, kind: str) -> list[dict[str, Any]]:
    given = make.memory(parent.tensor_bytes, parent.vocabulary)
    shutil.copy(TEXT, bench.work / "text.txt")
    forget(bench.work / "parent.gguf")
    words = {"PARENT": "/mnt/parent.gguf", "TYPE": kind}
    rows = [bench.step("quantize", make.QUANTIZE, given, **words)]
    if rows[0]["exit_code"] == 0:
        rows.append(bench.step("measure", make.MEASURE, given, **words))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.true_size.making", description=__doc__)
    parser.add_argument("cases", nargs="*", default=CASES, metavar="SIZE:TYPE", help=f"default: {' '.join(CASES)}")
    options = parser.parse_args()
    if wrong := [case for case in options.cases if case.partition(":")[0] not in repository.NAMED]:
        parser.error(f"{wrong[0]}: sizes are {', '.join(repository.NAMED)}")
    if os.geteuid() != 0:
        parser.error("needs root for its cgroup (try: sudo -E make bench-making)")
    work = repository.folder() / f".making-{os.getpid()}"
    try:
        rows = [row for case in options.cases for row in run(case, work, os.cpu_count() or 1)]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps({"rows": rows}), flush=True)
    return 0 if all(not r["exit_code"] and not r["oom_kills"] for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
