"""`slm route confidence`: what a model's own token probabilities say of whether its answers are right; no cluster."""

import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any, Final

from smallmodel_operator.cli.route_data import Judged, NoData, judged
from smallmodel_operator.routing.choice import confidence, evaluation
from smallmodel_operator.routing.choice.examples import to_learn

UNUSABLE: Final = 2
SHARES: Final = (0.10, 0.20)


def report(dataset: str, strong: str, weak: str) -> int:
    """Print one JSON object: learned from the rows with an even SHA-256, tested on the others. 0; 2 with a reason."""
    try:
        print(json.dumps(figures(judged(dataset, strong, weak), with_strong=bool(strong))))
    except (NoData, confidence.TooFew, evaluation.NoGap) as error:
        print(f"{dataset}: {error}" if not isinstance(error, NoData) else str(error), file=sys.stderr)
        return UNUSABLE
    return 0


def figures(rows: Sequence[Judged], with_strong: bool) -> dict[str, Any]:
    """What `slm route confidence` prints.

    Raises:
        TooFew: too few rows on one side, or all of them right or wrong.
        NoGap: the strong model is no better.
    """
    learned = [row for row in rows if to_learn(row.answered.prompt)]
    tested = [row for row in rows if not to_learn(row.answered.prompt)]
    if min(len(learned), len(tested)) < confidence.FEWEST // 2:
        raise confidence.TooFew(
            f"{len(learned)} answers to learn from and {len(tested)} to test with: at least {confidence.FEWEST // 2} "
            "of each are needed (prompts are parted by their SHA-256)."
        )
    return {
        "n": len(tested),
        "weak_accuracy": round(statistics.fmean(row.answered.weak for row in tested), 4),
        **({"strong_accuracy": round(statistics.fmean(r.answered.strong for r in tested), 4)} if with_strong else {}),
        "measures": {name: _of_measure(name, learned, tested, with_strong) for name in learned[0].confidences},
    }


def _of_measure(name: str, learned: Sequence[Judged], tested: Sequence[Judged], with_strong: bool) -> dict[str, Any]:
    known = [row.confidences[name] for row in learned]
    steps = confidence.learn(known, [row.answered.weak for row in learned])
    said, right = [row.confidences[name] for row in tested], [row.answered.weak for row in tested]
    found: dict[str, Any] = {
        "ranking": round(confidence.ranking(said, right), 4),
        "error_as_said": round(evaluation.calibration_error(said, right), 4),
        "error_as_learned": round(
            evaluation.calibration_error([confidence.probability(steps, value) for value in said], right), 4
        ),
        "below": [_below(confidence.limit(known, share), share, said, right) for share in SHARES],
        "steps": [{"least": _short(s.least), "right": round(s.right, 4), "answers": s.answers} for s in steps],
    }
    if with_strong:
        points = evaluation.curve([-value for value in said], [row.answered for row in tested])
        found |= {f"pgr_at_{share * 100:.0f}": round(evaluation.at(points, share), 4) for share in SHARES}
        found["apgr"] = round(evaluation.apgr(points), 4)
    return found


def _below(limit: float, share: float, said: Sequence[float], right: Sequence[bool]) -> dict[str, float | None]:
    """Which of the tested lie below the limit that was learned, and how many are right on either side."""
    under = [ok for value, ok in zip(said, right, strict=True) if value < limit]
    over = [ok for value, ok in zip(said, right, strict=True) if value >= limit]
    return {
        "wanted_share": share,
        "limit": _short(limit),
        "share": round(len(under) / len(said), 4),
        "right_below": round(statistics.fmean(under), 4) if under else None,
        "right_above": round(statistics.fmean(over), 4) if over else None,
    }


def _short(value: float) -> float:
    """Products of many probabilities are small numbers: digits, not places."""
    return float(f"{value:.4g}")
