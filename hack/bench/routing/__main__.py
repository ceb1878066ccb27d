"""`make bench-routing`: the choice of a model beside LiteLLM's router and chance, and what the detectors find and cost.

Answers of two models are read from $SLM_BENCH_DATA/routellm-mmlu. Progress goes to standard error, the last line of
standard output is one JSON object.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from hack.bench.gateway import peer
from hack.bench.routing import detectors
from smallmodel_operator.cli.route import figures
from smallmodel_operator.cli.route_data import NoData, answers, halves
from smallmodel_operator.routing.choice import evaluation
from smallmodel_operator.routing.choice.training import Answered, learn_escalation

STRONG, WEAK = "gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1"
LITELLM = """
import json, statistics, sys, time
from litellm import Router
from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter
tell = ComplexityRouter("bench", Router(model_list=[]), None, "small", False)
found, taken = [], []
for prompt in json.load(sys.stdin):
    began = time.perf_counter()
    found.append(tell.classify(prompt)[1])
    taken.append(1e6 * (time.perf_counter() - began))
print(json.dumps({"scores": found, "microseconds": statistics.median(taken)}))
"""


def main() -> int:
    """Print one JSON object; 2 when the data is not there."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=20_000, help="generated requests for the detectors")
    wanted = options.parse_args()
    data = os.environ.get("SLM_BENCH_DATA", "")
    try:
        if not data:
            raise NoData("SLM_BENCH_DATA is not set.")
        known = answers(str(Path(data) / "routellm-mmlu"), "routellm", STRONG, WEAK)
    except NoData as error:
        print(
            f"{error} Set SLM_BENCH_DATA to a folder whose subfolder routellm-mmlu has the files mmlu_*.csv of the git "
            "repository lm-sys/RouteLLM (routellm/evals/mmlu/responses), Apache-2.0.",
            file=sys.stderr,
        )
        return 2
    learn, test = halves(known)
    print(f"learning from {len(learn)} answers ...", file=sys.stderr)
    found = {"ours": figures(learn_escalation(learn), test), "litellm": _litellm(test)}
    found["prompt length"] = _of([float(len(a.prompt)) for a in test], test)
    print(f"{wanted.requests} requests for the detectors ...", file=sys.stderr)
    print(json.dumps({"choice": found, "detectors": detectors.measured(wanted.requests, 99)}))
    return 0


def _litellm(test: list[Answered]) -> dict[str, float]:
    """LiteLLM's complexity router, in the environment of its own where the gateway's benchmark has it."""
    python = str(peer.install() / "python")
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": ""}
    asked = json.dumps([a.prompt for a in test])
    done = subprocess.run([python, "-c", LITELLM], input=asked, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"LiteLLM's router failed:\n{done.stderr[-2000:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    return {**_of(said["scores"], test), "microseconds_per_decision": round(said["microseconds"], 1)}


def _of(scores: list[float], test: list[Answered]) -> dict[str, float]:
    points = evaluation.curve(scores, test)
    at10, at20 = (round(evaluation.at(points, share), 4) for share in (0.1, 0.2))
    return {"apgr": round(evaluation.apgr(points), 4), "pgr_at_10": at10, "pgr_at_20": at20}


if __name__ == "__main__":
    sys.exit(main())
