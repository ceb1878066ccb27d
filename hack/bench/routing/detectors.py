"""What the detectors find of planted things, what they take for one wrongly, and what a request costs."""

import json
import statistics
import time
from collections import Counter
from typing import Any

from hack.bench.routing.planted import FILLER, requests
from smallmodel_operator.routing.detect.decide import Compiled, Policy, Verdict, compiled, decide

LABELS = ("public",)
TIMED = 500


def measured(number: int, seed: int) -> dict[str, Any]:
    """Recall by kind, the share of clean requests that stay, and microseconds for a clean prompt of 2 KB."""
    rules = compiled(Policy())
    planted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    wrongly: Counter[str] = Counter()
    for one in requests(number, seed):
        decision = decide(one.body, rules, LABELS)
        planted[one.kind] += 1
        if one.kind:
            found[one.kind] += decision.verdict == Verdict.INSIDE
        elif decision.verdict == Verdict.INSIDE:
            wrongly.update({r.kind or r.reason for r in decision.reasons})
            found[""] += 1
    clean = planted.pop("")
    return {
        "requests": number,
        "sensitive": sum(planted.values()),
        "left": sum(planted.values()) - sum(found[kind] for kind in planted),
        "clean": clean,
        "clean_that_may_leave": round(1 - found[""] / clean, 4),
        "recall": {kind: round(found[kind] / planted[kind], 4) for kind in sorted(planted)},
        "false_positives": {kind: round(n / clean, 5) for kind, n in sorted(wrongly.items())},
        "microseconds_2kb": round(microseconds(rules), 1),
    }


def microseconds(rules: Compiled) -> float:
    """The median for a request with a prompt of 2 KB in which nothing is found: it was looked through to its end."""
    text = " ".join(FILLER * 10)[:2048]
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    taken = []
    for _ in range(TIMED):
        began = time.perf_counter_ns()
        decide(body, rules, LABELS)
        taken.append((time.perf_counter_ns() - began) / 1000)
    return statistics.median(taken)
