"""What an importance matrix brings: a parent's types with and without one, measured as the gate measures them.

`python -m hack.true_size.importance PARENT.gguf --built-on FILE --measured-on FILE`: the tools and the numbers of
pieces are those of a quantization Job. Prints one line for each type and way.
"""

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

from hack.images.tools import commands
from smallmodel_operator.api.quantization_rules import WITH_MATRIX
from smallmodel_operator.quantization.gate import Figures, parse, shared_percent
from smallmodel_operator.weights.make import CHUNKS
from smallmodel_operator.weights.recipe import CONTEXT, MATRIX_CHUNKS

TRIES = 3
"""A run may lose its last lines: see weights/make.py."""


class Bench:
    """A folder to work in, the tools, and the parent that was measured once."""

    def __init__(self, work: Path, parent: Path, chunks: int, threads: int) -> None:
        self.work, self.parent, self.chunks = work, parent, chunks
        self.common = ["-c", str(CONTEXT), "-t", str(threads)]
        self.environment = {**os.environ, "PATH": f"{commands(work / 'bin')}:{os.environ['PATH']}"}
        self.base = ""

    def tool(self, *words: str | Path) -> str:
        command = [str(word) for word in words]
        done = subprocess.run(
            command, env=self.environment, cwd=self.work, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}")
        return done.stdout

    def built(self, text: Path) -> float:
        """The matrix; in how many seconds."""
        began = time.monotonic()
        self.tool("llama-imatrix", "-m", self.parent, "-f", text, "-o", "matrix.gguf", "--chunks", str(MATRIX_CHUNKS),
                  *self.common)  # fmt: skip
        return time.monotonic() - began

    def remember(self, text: Path) -> None:
        """The parent's own answers."""
        for _ in range(TRIES):
            self.base = self._measure("-m", self.parent, "-f", text)
            if "Final estimate: PPL" in self.base:
                return
        raise SystemExit("The parent could not be measured.")

    def figures(self, kind: str, *option: str) -> Figures:
        self.tool("llama-quantize", *option, self.parent, "made.gguf", kind)
        for _ in range(TRIES):
            found = parse(self.base, self._measure("-m", "made.gguf", "--kl-divergence"))
            if found is not None:
                return found
        raise SystemExit(f"{kind} could not be measured.")

    def _measure(self, *words: str | Path) -> str:
        bounds = ("--chunks", str(self.chunks), *self.common)
        return self.tool("llama-perplexity", *words, "--kl-divergence-base", "base.kld", *bounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parent", type=Path)
    parser.add_argument("--built-on", type=Path, required=True)
    parser.add_argument("--measured-on", type=Path, required=True)
    parser.add_argument("--types", nargs="+", default=list(WITH_MATRIX))
    parser.add_argument("--chunks", type=int, default=CHUNKS, help="pieces that are measured")
    parser.add_argument("--threads", type=int, default=1)
    said = parser.parse_args()
    built_on, measured_on = said.built_on.resolve(), said.measured_on.resolve()
    shared = shared_percent(measured_on.read_text(), built_on.read_text())
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), said.parent.resolve(), said.chunks, said.threads)
        print(f"matrix: {bench.built(built_on):.0f} s; {shared} % of what is measured on stands in its text")
        bench.remember(measured_on)
        for kind in said.types:
            print(f"{kind} without: {bench.figures(kind).text}", flush=True)
            print(f"{kind} with:    {bench.figures(kind, '--imatrix', 'matrix.gguf').text}", flush=True)


if __name__ == "__main__":
    main()
