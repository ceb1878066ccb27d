"""The same prompts on a small and a large shape: processor seconds and, at stated watts, watt-hours of 1,000 tokens.

Real llama.cpp with the operator's own arguments, all models loaded at once; they take turns, a round of prompts each,
so that whatever else the machine does meets all of them. Processor seconds are the kernel's (user and system) of the
engine, from before the first prompt of a round to after its last answer; loading is not in them. Watt-hours are those
at `--watts` of a node with `--cores`, as the operator estimates them without Kepler: nothing is measured in watts here.
The engine has one thread: several wait for each other spinning, on a busy machine for most of their time.
The last line of the output is JSON.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hack.true_size import write
from hack.true_size.measure import ask, telling
from hack.true_size.server import Server, serving
from hack.true_size.shapes import FILE_TYPE, SHAPES
from smallmodel_operator.core.energy import WATT_HOUR, Source
from smallmodel_operator.energy.meter import by_cpu

CASES = ("0.5b:Q4_K_M", "3b:Q4_K_M")
CONTEXT = 1024
WATTS, CORES = 400, 32
"""The node of docs/how-to/cost.md, with 32 cores."""


@dataclass(frozen=True)
class Work:
    """A round: so many prompts, each of so many tokens, each answered with so many."""

    prompts: int
    prompt: int
    generated: int

    @property
    def tokens(self) -> int:
        return self.prompts * (self.prompt + self.generated)


@dataclass
class Subject:
    """A model being measured; processor seconds by round."""

    case: str
    server: Server
    seconds: list[float] = field(default_factory=list)


def processor_seconds(pid: int) -> float:
    """User and system time of a process and its threads, those that ended included."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def watt_hours(seconds: float, watts: int, cores: int) -> float:
    """What the operator makes of processor seconds."""
    drew = by_cpu({"engine": 0}, {"engine": round(seconds * 1e6)}, watts, cores * 1000)
    assert drew is not None
    return drew / WATT_HOUR


def play(subject: Subject, work: Work, first: int) -> None:
    """One round, a prompt after the other; `first` tells rounds apart, so that nothing is remembered."""
    before = processor_seconds(subject.server.process.pid)
    for number in range(work.prompts):
        ask(subject.server, 0, work.prompt, work.generated, start=(first + number) * 997)
    subject.seconds.append(processor_seconds(subject.server.process.pid) - before)


def row(case: str, rounds: Sequence[float], work: Work, watts: int, cores: int) -> dict[str, Any]:
    """Figures of one model; the median round, and all of them."""
    each = [1000 * seconds / work.tokens for seconds in rounds]
    median = statistics.median(each)
    return {
        "model": case,
        "cpu_seconds_per_1000_tokens": round(median, 3),
        "lowest": round(min(each), 3),
        "highest": round(max(each), 3),
        "watt_hours_per_1000_tokens": round(watt_hours(median, watts, cores), 5),
        "rounds": [round(seconds, 2) for seconds in rounds],
    }


def figures(played: Mapping[str, Sequence[float]], work: Work, watts: int, cores: int) -> dict[str, Any]:
    """Of all models, smallest first: processor seconds by round, and the last model's beside the first one's."""
    first, *_, last = played
    ratios = [b / a for a, b in zip(played[first], played[last], strict=True)]
    return {
        "rows": [row(case, rounds, work, watts, cores) for case, rounds in played.items()],
        "ratio": round(statistics.median(ratios), 2),
        "ratio_lowest": round(min(ratios), 2),
        "ratio_highest": round(max(ratios), 2),
        "ratio_is": f"{last} to {first}, processor seconds, median of the rounds",
        "source": Source.CPU,
        "node_watts": watts,
        "node_cores": cores,
        "prompts_per_round": work.prompts,
        "prompt_tokens": work.prompt,
        "generated_tokens": work.generated,
    }


def run(cases: Sequence[str], work: Work, rounds: int, threads: int) -> dict[str, list[float]]:
    """All models, in turn; processor seconds by round."""
    with ExitStack() as stack:
        subjects = []
        for case in cases:
            file = write.ensure(*case.split(":"))
            subjects.append(Subject(case, stack.enter_context(serving(file, CONTEXT, 1, threads=threads))))
        for subject in subjects:
            with telling(f"{subject.case}: loading"):
                subject.server.wait()
            ask(subject.server, 0, work.prompt, work.generated)  # pages are touched, memory is there
        for number in range(rounds):
            for subject in subjects:
                with telling(f"round {number + 1} of {rounds}, {subject.case}"):
                    play(subject, work, 1 + number * work.prompts)
                print(
                    f"[{number + 1}/{rounds}] {subject.case}: {subject.seconds[-1]:.2f} s", file=sys.stderr, flush=True
                )
    return {subject.case: subject.seconds for subject in subjects}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.true_size.energy", description=__doc__)
    parser.add_argument("cases", nargs="*", default=CASES, metavar="SIZE:TYPE", help=f"default: {' '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=1, help="of a round")
    parser.add_argument("--prompt-tokens", type=int, default=256)
    parser.add_argument("--generated-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1, help="of the engine")
    parser.add_argument("--watts", type=int, default=WATTS, help="of the node the figures are for")
    parser.add_argument("--cores", type=int, default=CORES, help="of that node")
    options = parser.parse_args()
    for case in options.cases:
        name, _, kind = case.partition(":")
        if name not in SHAPES or kind not in FILE_TYPE:
            parser.error(f"{case}: sizes are {', '.join(SHAPES)}, types are {', '.join(FILE_TYPE)}")
    work = Work(options.prompts, options.prompt_tokens, options.generated_tokens)
    counts = (options.rounds, options.threads, work.prompts, work.prompt, work.generated, options.watts, options.cores)
    if min(counts) < 1:
        parser.error("rounds, threads, prompts, tokens, watts and cores are 1 or more")
    if work.prompt + work.generated > CONTEXT:
        parser.error(f"prompt and answer together are at most {CONTEXT} tokens")
    if os.geteuid() != 0:
        parser.error("needs root for its chroot (try: sudo -E make bench-energy)")
    if len(set(options.cases)) < max(2, len(options.cases)):
        parser.error("give two models or more, the smallest first, each once")
    before = os.getloadavg()[0]
    found = figures(run(options.cases, work, options.rounds, options.threads), work, options.watts, options.cores)
    found |= {"threads": options.threads, "load_average": [round(before, 1), round(os.getloadavg()[0], 1)]}
    for one in found["rows"]:
        print(
            f"{one['model']}: {one['cpu_seconds_per_1000_tokens']} processor seconds "
            f"({one['lowest']} to {one['highest']}), {one['watt_hours_per_1000_tokens']} Wh of 1,000 tokens"
        )
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
