"""`slm route check`: would this request leave, and if not, why? On files, without a cluster."""

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import yaml

from smallmodel_operator.routing.detect.decide import Compiled, Decision, Policy, Verdict, compiled, decide
from smallmodel_operator.routing.detect.scanner import DETECTORS, BadPattern

INSIDE, UNUSABLE = 1, 2
_KEYS: Final = ("detectors", "labels", "patterns", "denyTerms")


class Unusable(Exception):  # noqa: N818 - says what is the matter
    """A file cannot be read, or is no policy."""


def check(name: str, policy: str, labels: list[str], output: str) -> int:
    """Print the decision on a request's body; 0 it may leave, 1 it stays inside, 2 there is nothing to decide on."""
    try:
        rules = compiled(policy_of(policy))
        body = body_of(name)
    except (Unusable, BadPattern) as error:
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


def policy_of(name: str) -> Policy:
    """The policy of a YAML or JSON file; without one, all detectors and nothing of a user's own.

    Raises:
        Unusable: the file cannot be read, or is none.
    """
    if not name:
        return Policy()
    try:
        value = yaml.safe_load(_read(name))
    except yaml.YAMLError as error:
        raise Unusable(f"{name} is not YAML: {error}.") from None
    if not isinstance(value, dict) or not set(value) <= set(_KEYS):
        raise Unusable(f"{name} must be an object with some of {', '.join(_KEYS)}.")
    return Policy(
        detectors=_texts(name, value, "detectors", DETECTORS),
        labels=_texts(name, value, "labels"),
        patterns=_patterns(name, value.get("patterns", [])),
        deny_terms=_texts(name, value, "denyTerms"),
    )


def _texts(name: str, value: dict[str, Any], key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    listed = value.get(key, list(default))
    if not isinstance(listed, list) or not all(isinstance(one, str) and one.strip() for one in listed):
        raise Unusable(f"{name}: `{key}` must be a list of texts.")
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
