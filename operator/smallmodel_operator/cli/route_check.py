"""`slm route check`: would this request leave, and if not, why? On files, without a cluster."""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any, Final

from smallmodel_operator.cli.manifests import NOT_YAML, one_document
from smallmodel_operator.routing.detect.decide import Compiled, Decision, Policy, Verdict, compiled, decide
from smallmodel_operator.routing.detect.scanner import DETECTORS, BadPattern

INSIDE, UNUSABLE = 1, 2
_KEYS: Final = ("detectors", "labels", "patterns", "denyTerms")
_COPY: Final = f"Of a route's `spec.boundary` copy {', '.join(_KEYS)} only."
_LABEL: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
"""As the API has labels."""


class Unusable(Exception):  # noqa: N818 - says what is the matter
    """A file cannot be read, or is no policy."""


def check(name: str, policy: str, labels: list[str], output: str) -> int:
    """Print the decision on a request's body; 0 it may leave, 1 it stays inside, 2 there is nothing to decide on."""
    try:
        labels = _labels(labels)
        rules = rules_of(policy)
        body = body_of(name)
    except Unusable as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    decision, microseconds = _timed(body, rules, labels)
    if output == "json":
        print(json.dumps(_value(decision, microseconds)))
    else:
        print(f"{decision.verdict}, decided in {microseconds / 1000:.2f} ms")
        for reason in _value(decision, 0)["reasons"]:
            print("  " + "  ".join(", ".join(v) if isinstance(v, list) else v for v in reason.values() if v))
    return 0 if decision.verdict == Verdict.MAY_LEAVE else INSIDE


def _labels(said: list[str]) -> list[str]:
    """As a request's header says them: several in one are separated by commas."""
    found = [label.strip() for one in said for label in one.split(",")]
    for label in found:
        if not _LABEL.fullmatch(label):
            raise Unusable(
                f"--label: {label!r} is no label: give 1 to 63 letters, digits and `-_.`, beginning and ending with a "
                "letter or digit; leave the option out for a request without a label."
            )
    return found


def _timed(body: bytes, rules: Compiled, labels: list[str]) -> tuple[Decision, int]:
    began = time.perf_counter_ns()
    decision = decide(body, rules, labels)
    return decision, (time.perf_counter_ns() - began) // 1000


def _value(decision: Decision, microseconds: int) -> dict[str, Any]:
    reasons = [
        {"reason": r.reason, "detector": r.detector, "kind": r.kind, "places": list(r.places)} for r in decision.reasons
    ]
    return {"verdict": decision.verdict.value, "reasons": reasons, "microseconds": microseconds}


def body_of(name: str) -> bytes:
    """A request's body; `-`: standard input.

    Raises:
        Unusable: it cannot be read.
    """
    return sys.stdin.buffer.read() if name == "-" else _read(name)


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise Unusable(f"{name} cannot be read: {error.strerror or error}.") from None


def rules_of(name: str) -> Compiled:
    """The policy of a file, made ready.

    Raises:
        Unusable: the file cannot be read, is none, or has a detector or pattern that cannot be.
    """
    try:
        return compiled(policy_of(name))
    except BadPattern as error:
        raise Unusable(f"{name}: {error}") from None


def policy_of(name: str) -> Policy:
    """The policy of a YAML or JSON file; without one, all detectors and nothing of a user's own.

    Raises:
        Unusable: the file cannot be read, or is none.
    """
    if not name:
        return Policy()
    try:
        value = one_document(_read(name))
    except NOT_YAML as error:
        raise Unusable(f"{name} is not YAML of one document: {' '.join(str(error).split())}. {_COPY}") from None
    if not isinstance(value, dict):
        raise Unusable(f"{name} must be an object with some of {', '.join(_KEYS)}.")
    if unknown := sorted(str(key) for key in value.keys() - set(_KEYS)):
        raise Unusable(f"{name}: a policy has no {', '.join(unknown)}. {_COPY}")
    return Policy(
        detectors=_texts(name, value, "detectors", DETECTORS),
        labels=_texts(name, value, "labels"),
        patterns=_patterns(name, value.get("patterns", [])),
        deny_terms=_texts(name, value, "denyTerms"),
    )


def _texts(name: str, value: dict[str, Any], key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    listed = value.get(key, list(default))
    if not isinstance(listed, list) or not all(isinstance(one, str) and one.strip() for one in listed):
        raise Unusable(f"{name}: `{key}` must be a list of texts, none of them empty.")
    return tuple(listed)


def _patterns(name: str, listed: object) -> tuple[tuple[str, str], ...]:
    found = []
    for one in listed if isinstance(listed, list) else [None]:
        match one:
            case {"name": str(own), "regex": str(regex), **rest} if not rest:
                found.append((own, regex))
            case _:
                raise Unusable(f"{name}: `patterns` must be a list of objects with `name` and `regex`.")
    return tuple(found)
