"""`slm route train`, `evaluate` and `classify`: learned from files, decided on texts; no cluster needed."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from smallmodel_operator.cli.route_data import ALL, NoData, answers, classes, halves
from smallmodel_operator.routing.choice import evaluation, file
from smallmodel_operator.routing.choice.classifier import Classifier, Escalation, TaskClass
from smallmodel_operator.routing.choice.examples import to_learn
from smallmodel_operator.routing.choice.training import Answered, TooLittle, learn_escalation, learn_tasks

UNUSABLE: Final = 2
HALF: Final = (
    " Only rows with an even SHA-256 of the prompt are learned from, the others are for `slm route evaluate`; "
    "`slm route train --rows all` takes all."
)
TIMED_AT_MOST: Final = 2000
"""Prompts whose decision is timed."""


def train(dataset: str, form: str, models: tuple[str, str], target: str, rows: str, output: str) -> int:
    """Write a classifier: when to escalate where two models are named, else classes of tasks. 0; 2 with a reason."""
    strong, weak = models
    if bool(strong) != bool(weak) or (not strong and form != "jsonl"):
        return failed(
            "name both --strong and --weak to learn when to escalate; leave both out to learn classes of tasks from "
            "JSON lines with `prompt` and `class`."
        )
    try:
        if strong:
            known = answers(dataset, form, strong, weak)
            used = known if rows == ALL else halves(known)[0]
            with progress() as told:
                learned: Classifier = learn_escalation(used, told)
            number = len(used)
        else:
            labelled = [e for e in classes(dataset) if rows == ALL or to_learn(e[0])]
            with progress() as told:
                learned = learn_tasks(labelled, told)
            number = len(labelled)
        data = file.write(learned, number)
        Path(target).write_bytes(data)
    except NoData as error:
        return failed(str(error))
    except TooLittle as error:
        return failed(f"{dataset}: {error}{'' if rows == ALL else HALF}")
    except OSError as error:
        return failed(f"{target} cannot be written: {error.strerror or error}.")
    said = {
        "file": target,
        "kind": type(learned).__name__,
        "examples": number,
        "classes": sorted(learned.planes) if isinstance(learned, TaskClass) else [],
        "bytes": len(data),
        "digest": file.digest(data),
    }
    print(json.dumps(said) if output == "json" else "\n".join(f"{k:10}{_word(v)}" for k, v in said.items() if v))
    return 0


def evaluate(dataset: str, form: str, strong: str, weak: str, classifier: str) -> int:
    """Print one JSON object: learned from one half of the rows (or read from a file), tested on the other."""
    try:
        known = answers(dataset, form, strong, weak)
        learned_from, tested = halves(known)
        if classifier:
            learned = opened(classifier)
            if not isinstance(learned, Escalation):
                return failed(f"{classifier} tells classes of tasks apart: give one learned from two models.")
            warn_if_learned(classifier, dataset, len(known))
        else:
            with progress() as told:
                learned = learn_escalation(learned_from, told)
        print(json.dumps(figures(learned, tested)))
    except NoData as error:
        return failed(str(error))
    except TooLittle as error:
        return failed(f"{dataset}: {error}{HALF}")
    except evaluation.NoGap as error:
        return failed(f"{dataset}: {error}")
    return 0


def figures(learned: Escalation, tested: list[Answered]) -> dict[str, float]:
    """What `slm route evaluate` prints of a classifier, on rows it has not learned from."""
    said = [learned.probability(a.prompt) for a in tested]
    points = evaluation.curve(said, tested)
    return {
        "n": len(tested),
        "strong_accuracy": round(statistics.fmean(a.strong for a in tested), 4),
        "weak_accuracy": round(statistics.fmean(a.weak for a in tested), 4),
        "apgr": round(evaluation.apgr(points), 4),
        "pgr_at_10": round(evaluation.at(points, 0.10), 4),
        "pgr_at_20": round(evaluation.at(points, 0.20), 4),
        "random_pgr_at_20": round(evaluation.random_at(tested, 0.20), 4),
        "oracle_pgr_at_20": round(evaluation.at(evaluation.oracle(tested), 0.20), 4),
        "microseconds_per_decision": round(microseconds(learned.probability, [a.prompt for a in tested]), 1),
        "calibration_error": round(evaluation.calibration_error(said, [a.helps for a in tested]), 4),
    }


def microseconds(decide: Callable[[str], object], prompts: list[str]) -> float:
    """The median: what else the machine does is not the decision's."""
    taken = []
    for prompt in prompts[:: max(1, len(prompts) // TIMED_AT_MOST)]:
        began = time.perf_counter_ns()
        decide(prompt)
        taken.append((time.perf_counter_ns() - began) / 1000)
    return statistics.median(taken)


def classify(classifier: str, prompts: str, text: str, explain: bool, output: str) -> int:
    """Print what the classifier says of a text, or of each of some JSON lines."""
    try:
        learned = opened(classifier)
        asked = False
        for prompt in [text] if text else _prompts(prompts):
            asked, said = True, _said(learned, prompt, explain)
            print(json.dumps(said, ensure_ascii=False) if output == "json" else _line(said))
    except NoData as error:
        return failed(str(error))
    except UnicodeDecodeError:
        return failed(f"{prompts} is not UTF-8.")
    return 0 if asked else failed('there is no prompt: give a file of JSON lines like {"prompt": "..."}, or --text.')


def _said(learned: Classifier, prompt: str, explain: bool) -> dict[str, Any]:
    if isinstance(learned, Escalation):
        found: dict[str, Any] = {"probability": round(learned.probability(prompt), 4)}
        because = learned.explain(prompt) if explain else []
    else:
        name, probability = learned.choose(prompt)
        found = {"class": name, "probability": round(probability, 4)}
        scores = learned.probabilities(prompt) if explain else {}
        because = learned.explain(prompt, max(scores, key=lambda n: (scores[n], n))) if explain else []
    if explain:
        found["because"] = [{"ngram": b.ngram, "weight": round(b.weight, 4)} for b in because]
    return found


def _line(said: dict[str, Any]) -> str:
    first = f"{said['class'] or '(none: the default)'}  " if "class" in said else ""
    lines = [f"{first}{said['probability']:.4f}"]
    lines += [f"  {b['weight']:+.4f}  {b['ngram']}" for b in said.get("because", [])]
    return "\n".join(lines)


def _prompts(name: str) -> Iterator[str]:
    try:
        with nullcontext(sys.stdin) if name == "-" else Path(name).open(encoding="utf-8-sig") as lines:
            yield from _prompts_of(name, lines)
    except OSError as error:
        raise NoData(f"{name} cannot be read: {error.strerror or error}.") from None


def _prompts_of(name: str, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        try:
            prompt = json.loads(line)["prompt"] if line.strip() else None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise NoData(f'{name}, line {number}: give JSON lines like {{"prompt": "..."}}, or --text.') from None
        if prompt is not None:
            yield str(prompt)


def opened(name: str) -> Classifier:
    """A file of `slm route train`.

    Raises:
        NoData: it is none.
    """
    try:
        return file.read(Path(name).read_bytes())
    except OSError as error:
        raise NoData(f"{name} cannot be read: {error.strerror or error}.") from None
    except file.Unusable as error:
        raise NoData(f"{name}: {error}") from None


def warn_if_learned(classifier: str, dataset: str, rows: int) -> None:
    """On standard error, where a classifier was likely learned from the very rows it is to be tested on."""
    if file.examples(Path(classifier).read_bytes()) == rows:
        print(
            f"{classifier} was learned from {rows} rows, as many as {dataset} has: if it was from these, the figures "
            "are better than the truth. `slm route train --rows even` keeps the rows to test with out.",
            file=sys.stderr,
        )


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """On standard error, where somebody looks."""
    console = Console(stderr=True)
    with console.status("learning ...") as status:
        yield lambda words: status.update(f"learning: {words} ...")


def _word(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def failed(reason: str) -> int:
    """Say why; its exit code."""
    print(reason, file=sys.stderr)
    return UNUSABLE
