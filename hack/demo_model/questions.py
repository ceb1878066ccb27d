"""Questions with the expressions a right answer must and must not contain; the demo and the evaluation read these."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "01-first-model"
TWENTY = EXAMPLE / "questions.yaml"
MODEL = EXAMPLE / "weights" / "larkfield-support.gguf"


@dataclass(frozen=True)
class Question:
    """One question; the expressions are regular expressions searched without regard to case."""

    text: str
    fact: str
    must: tuple[str, ...]
    must_not: tuple[str, ...] = ()

    def is_answered_by(self, answer: str) -> bool:
        def found(expression: str) -> bool:
            return re.search(expression, answer, re.IGNORECASE) is not None

        return all(map(found, self.must)) and not any(map(found, self.must_not))


def twenty(path: Path = TWENTY) -> list[Question]:
    """The demo's held-out questions."""
    raw = yaml.safe_load(path.read_text())["questions"]
    return [Question(q["question"], q["fact"], tuple(q["must"]), tuple(q["mustNot"])) for q in raw]


def by_fact(path: Path) -> list[Question]:
    """A question set grouped by fact, whose checks come from facts.yaml."""
    must = {name: tuple(body["must"]) for name, body in yaml.safe_load((HERE / "facts.yaml").read_text()).items()}
    return [Question(q, fact, must[fact]) for fact, qs in yaml.safe_load(path.read_text()).items() for q in qs]
