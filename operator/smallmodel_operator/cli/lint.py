"""`slm lint`: what the API server would refuse, said before it is asked; and what it cannot see."""

import sys
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from pydantic import ValidationError

from smallmodel_operator.api.names import API_VERSION, GROUP
from smallmodel_operator.api.rules import violations
from smallmodel_operator.api.schema import strict_errors
from smallmodel_operator.cli.lint_notes import notes
from smallmodel_operator.cli.manifests import Unreadable, inner, read
from smallmodel_operator.control.route.outside import unfit
from smallmodel_operator.quality import golden, words
from smallmodel_operator.routing.declared import boundary

Placed = tuple[str, Mapping[str, Any]]
"""Where an object stands (`FILE#NUMBER`), and the object."""


def lint(files: list[str]) -> int:
    """Print one line per problem, else one per note, and one of counts; 1 when there are problems, or nothing to
    check."""
    try:
        objects = list(read(files))
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 1
    prompts = _golden(objects)
    ours = [(where, obj) for where, obj in objects if str(obj.get("apiVersion")).startswith(f"{GROUP}/")]
    checked = {where for where, _ in ours}
    problems = []
    for where, obj in objects:
        problems += [f"{where} {prompts[where]}"] if where in prompts else []
        problems += told(where, obj) if where in checked else []
    noted = [] if problems else _notes(ours)
    for line in problems + noted:
        print(line)
    passed = len(objects) - len(ours)
    also = f", {len(noted)} note(s)" if noted else ""
    others = f"; {passed} of other API groups passed over" if passed else ""
    print(f"{len(ours)} object(s) checked, {len(problems)} problem(s){also}{others}")
    if not ours:
        print(f"Nothing of {GROUP} is in there: look at the files and at their apiVersion.", file=sys.stderr)
    return 1 if problems or not ours else 0


def told(where: str, obj: Mapping[str, Any]) -> list[str]:
    """A line for each problem of an object of ours."""
    return [f"{_named(where, obj)}: {one}" for one in _problems(obj)]


def _named(where: str, obj: Mapping[str, Any]) -> str:
    return f"{where} {obj['kind']}/{inner(obj, 'metadata').get('name', '?')}"


def _notes(objects: Sequence[Placed]) -> list[str]:
    models = {_key(obj)[1:]: obj for _, obj in objects if obj["kind"] == "SmallModel"}
    return [f"{_named(where, obj)}: note: {note}" for where, obj in objects for note in notes(obj, models)]


def _problems(obj: Mapping[str, Any]) -> list[str]:
    if obj.get("apiVersion") != API_VERSION:
        return [f"apiVersion: must be {API_VERSION}, the only version this release knows."]
    wrong = strict_errors(obj)
    try:
        held = [f"{v.field}: {v.message}" for v in violations(obj)]
    except ValidationError as error:
        return [str(error)]
    except (LookupError, TypeError, AttributeError):
        if not wrong:
            raise
        held = []  # a rule cannot be asked of a field that is missing or of another kind, which is said
    found = [*wrong, *held, *_two_owners(obj)]
    return found or _unfit(obj)


def _two_owners(obj: Mapping[str, Any]) -> list[str]:
    """The API server cannot tell who sets a number; in a manifest it is always its author."""
    spec = inner(obj, "spec")
    if inner(spec, "scaling").get("mode") != "External" or "replicas" not in spec:
        return []
    return [
        "spec.replicas: must be left out in mode External: whoever scales the model writes it, and each apply of this "
        "manifest would write it back."
    ]


def _unfit(obj: Mapping[str, Any]) -> list[str]:
    """What of a route's boundary cannot be held to: the API server takes it, and then nothing leaves."""
    if obj.get("kind") != "ModelRoute":
        return []
    _, namespace, name = _key(obj)
    report = unfit(boundary(namespace, name, inner(obj, "spec")))
    return [report.message] if report else []


def _key(obj: Mapping[str, Any]) -> tuple[str, str, str]:
    meta = inner(obj, "metadata")
    return str(obj.get("kind")), str(meta.get("namespace") or ""), str(meta.get("name"))


def _golden(objects: Sequence[Placed]) -> dict[str, str]:
    """What is wrong with golden prompts that lie beside the model that names them; elsewhere only its status tells.

    By where the ConfigMap stands.
    """
    texts = [(where, obj) for where, obj in objects if obj.get("kind") == "ConfigMap"]
    found = {}
    for where, model in (o for o in objects if o[1].get("kind") == "SmallModel"):
        reference = inner(inner(inner(inner(model, "spec"), "checks"), "golden"), "configMapRef")
        meant = ("ConfigMap", _key(model)[1], str(reference.get("name")))
        beside = _nearest(where, [placed for placed in texts if _key(placed[1]) == meant])
        if beside is None:
            continue
        entry = str(reference.get("key") or "golden.jsonl")
        try:
            prompts = golden.parse(str(inner(beside[1], "data").get(entry, "")))
        except golden.NotGolden as error:
            wrong = str(error)
        else:
            wrong = words.undeclared(prompts, _adapters(model))
        if wrong:
            found[beside[0]] = f"ConfigMap/{meant[2]}: `data[{entry}]`: {wrong}"
    return found


def _nearest(where: str, candidates: Sequence[Placed]) -> Placed | None:
    """Of several of one name, as overlays have, the one that shares most of its path with the model."""
    own = where.split("/")

    def shared(placed: Placed) -> int:
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(own, placed[0].split("/"), strict=False)))

    return max(candidates, key=shared, default=None)


def _adapters(model: Mapping[str, Any]) -> list[str]:
    given = inner(model, "spec").get("adapters")
    return [str(a.get("name")) for a in given if isinstance(a, Mapping)] if isinstance(given, list) else []
