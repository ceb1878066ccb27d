"""`make bench-cascade`: how sure a small model was of its answers, and what a larger one makes of those it doubts.

Both are real, and so is what is between: the demo's model in the smallest of llama.cpp's k-quants (Q2_K) is the weak
one, the same as it is committed the strong one, each in a llama-server; Envoy and what judges answers as in a gateway.
Questions are drawn as the model was trained on them, misspelt and wrapped, by a seed of their own, with the ones
written by hand that it never saw. Limits are learned from the prompts with an even SHA-256, all that is said is of the
others. Needs root. The last line of standard output is one JSON object.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tests.gateway.running import Gateway
from tests.gateway.states import SUPPORT, model, state_of
from tests.gateway.test_rules import CHAT, Desk

from hack.demo_model.corpus import Generator, facts
from hack.demo_model.questions import HERE, MODEL, Question, by_fact, twenty
from hack.images.tools import commands
from hack.true_size.server import Server, serving
from smallmodel_operator.cli.route import figures as of_classifier
from smallmodel_operator.cli.route_confidence import figures as of_confidence
from smallmodel_operator.cli.route_data import Judged
from smallmodel_operator.gateway.routed import Choice, Escalation, Lead, Route
from smallmodel_operator.gateway.state import Access
from smallmodel_operator.routing.choice import confidence, evaluation
from smallmodel_operator.routing.choice.examples import to_learn
from smallmodel_operator.routing.choice.training import Answered, learn_escalation
from smallmodel_operator.routing.policy import Confidence, Measure

KIND: Final = "Q2_K"
SHARES: Final = (0.10, 0.20)
TOKENS: Final = 96
LEADS: Final = (Lead("small", "support/bot", 1), Lead("large", "support/llm", 0))
PLAIN: Final = "plain"
"""The route whose answers nobody judges."""


@dataclass(frozen=True, slots=True)
class Got:
    """An answer over the gateway: whether it is right, seconds until it was whole, and whose it is."""

    right: bool
    seconds: float
    escalated: bool


def measured(number: int, seed: int) -> dict[str, Any]:
    """The JSON object."""
    asked = questions(number, seed)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        tempfile.TemporaryDirectory(prefix="slm") as name,
        Progress(*columns, console=Console(stderr=True)) as progress,
        engines(Path(name)) as (weak, strong),
    ):
        rows = [judged(one, weak, strong) for one in progress.track(asked, description="both models")]
        learned = [row for row in rows if to_learn(row.answered.prompt)]
        tested = [one for one in asked if not to_learn(one.text)]
        measure = best(learned)
        limits = {
            f"{share:.0%}": confidence.limit([r.confidences[measure] for r in learned], share) for share in SHARES
        }
        routes = [plain(), *(doubting(f"r{n}", below, measure) for n, below in enumerate(limits.values()))]
        names = [f"{PLAIN}/small", f"{PLAIN}/large", *(route.name for route in routes[1:])]
        with desk(Path(name), weak, strong, routes) as it:
            said = {
                label: over_gateway([ask(it, to, one) for one in progress.track(tested, description=label)])
                for label, to in zip(("small", "large", *limits), names, strict=True)
            }
    return {"offline": offline(rows), "measure": measure, "limits": limits, "over_the_gateway": said, "seed": seed}


def questions(number: int, seed: int) -> list[Question]:
    """No text twice: halves are told apart by it."""
    known = facts()
    generator = Generator(seed)
    drawn = (generator.draw() for _ in range(number))
    found = [*twenty(), *by_fact(HERE / "independent.yaml"), *by_fact(HERE / "dev.yaml")]
    found += [Question(one.question, one.fact, known[one.fact].must) for one in drawn]
    return list({one.text: one for one in found}.values())


@contextmanager
def engines(folder: Path) -> Iterator[tuple[Server, Server]]:
    """The weak one and the strong one, ready."""
    tools, weak, strong = commands(folder / "bin"), folder / "weak" / "m.gguf", folder / "strong" / "m.gguf"
    for file in (weak, strong):
        file.parent.mkdir()
    strong.write_bytes(MODEL.read_bytes())
    words = [tools / "llama-quantize", "--allow-requantize", "--pure", MODEL, weak, KIND]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"llama-quantize failed:\n{(done.stdout + done.stderr)[-2000:]}")
    with serving(weak, 1024, 1, threads=1) as one, serving(strong, 1024, 1, threads=1) as other:
        for server in (one, other):
            server.wait()
        yield one, other


def body(question: Question) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question.text}], "max_tokens": TOKENS, "temperature": 0}


def judged(question: Question, weak: Server, strong: Server) -> Judged:
    """Both models' right or wrong, and how sure the weak one was."""
    said = [answer(server, {**body(question), "logprobs": True}) for server in (weak, strong)]
    small, large = (question.is_answered_by(one["choices"][0]["message"]["content"]) for one in said)
    return Judged(Answered(question.text, large, small), confidence.measures(confidence.logprobs_of(said[0])))


def answer(server: Server, wanted: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}/v1/chat/completions", json.dumps(wanted).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def best(rows: Sequence[Judged]) -> str:
    """The measure that tells right from wrong best where limits are learned."""
    right = [row.answered.weak for row in rows]
    return max(rows[0].confidences, key=lambda name: confidence.ranking([r.confidences[name] for r in rows], right))


def offline(rows: Sequence[Judged]) -> dict[str, Any]:
    """Each way to choose on the same answers."""
    learned = [row.answered for row in rows if to_learn(row.answered.prompt)]
    kept = [row for row in rows if not to_learn(row.answered.prompt)]
    tested = [row.answered for row in kept]
    classifier = of_classifier(learn_escalation(learned), tested)
    return {
        "confidence": of_confidence(rows, with_strong=True),
        "classifier": classifier,
        "by_lot_at_20": round(evaluation.random_at(tested, 0.2), 4),
        "equal_quality_at": {
            name: enough(evaluation.curve([-row.confidences[name] for row in kept], tested))
            for name in kept[0].confidences
        },
    }


def enough(points: Sequence[float]) -> float:
    """The least share of escalations with which as many answers are right as the strong model's are."""
    return round(next(n for n, gained in enumerate(points) if gained >= 1 - 1e-9) / (len(points) - 1), 4)


def plain() -> Route:
    return Route("support", PLAIN, "", Access(frozenset({"ns:support"})), LEADS, choice=Choice((), "small"))


def doubting(name: str, below: float, measure: str) -> Route:
    judge = Escalation(("large",), most_percent=100.0, confidence=Confidence(below, Measure[measure.upper()]))
    access = Access(frozenset({"ns:support"}))
    return Route("support", name, "", access, LEADS, choice=Choice((), "small", escalation=judge))


@contextmanager
def desk(folder: Path, weak: Server, strong: Server, routes: Sequence[Route]) -> Iterator[Desk]:
    """A gateway in front of both, and who judges their answers."""
    ports = {"support/bot": weak.port, "support/llm": strong.port}
    models = (model("support/bot"), model("support/llm"))
    with Gateway(folder / "g", state_of(models, ports, routes={route.path: route for route in routes})) as gateway:
        found = Desk(gateway, lambda _: None)
        found.begin()
        try:
            yield found
        finally:
            found.end()


def ask(it: Desk, name: str, question: Question) -> Got:
    began = time.perf_counter()
    said = it.gateway.post(CHAT, {"model": name, **body(question)}, SUPPORT)
    taken = time.perf_counter() - began
    if said.status != 200:
        raise SystemExit(f"{name} answered {said.status}: {said.body[:300]!r}")
    right = question.is_answered_by(said.json["choices"][0]["message"]["content"])
    return Got(right, taken, "x-slm-escalated" in said.headers)


def over_gateway(got: Sequence[Got]) -> dict[str, Any]:
    """Of the answers a caller has: how many are right, how many the large model's, how long each kind took."""
    kept, moved = ([1000 * one.seconds for one in got if one.escalated is which] for which in (False, True))
    return {
        "n": len(got),
        "accuracy": round(statistics.fmean(one.right for one in got), 4),
        "escalated_share": round(len(moved) / len(got), 4),
        "milliseconds_p50": round(statistics.median(1000 * one.seconds for one in got), 1),
        "kept_milliseconds_p50": round(statistics.median(kept), 1) if kept else None,
        "escalated_milliseconds_p50": round(statistics.median(moved), 1) if moved else None,
    }


def main() -> int:
    """Print one JSON object."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--questions", type=int, default=2000, help="drawn besides those written by hand")
    options.add_argument("--seed", type=int, default=4242)
    wanted = options.parse_args()
    print(json.dumps(measured(wanted.questions, wanted.seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
