"""The Plan: what should exist, why, and when to look again. A value; nothing here touches a cluster."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smallmodel_operator.api.conditions import Report
from smallmodel_operator.core.facts import Object, ObjectKey
from smallmodel_operator.core.keys import Identity
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.trial import Trial


def key_of(obj: Object) -> ObjectKey:
    return obj["kind"], obj["metadata"]["name"]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened once: an event for people, a number for metrics."""

    reason: str
    message: str
    evicted_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One concern's share of the plan.

    `objects` are owned by the model and pruned when omitted; `kept` are created when missing and never changed,
    owned or pruned (a claim that outlives its models). `status` is merged into the model's status.
    """

    objects: tuple[Object, ...] = ()
    kept: tuple[Object, ...] = ()
    secrets: tuple[Object, ...] = ()
    """Published before anything else; never listed or watched, so never pruned: their owner's deletion ends them."""
    keys: Mapping[str, Identity] = field(default_factory=dict)
    """Hashes of the keys that open the model, and whose they are."""
    reports: tuple[Report, ...] = ()
    status: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Refused, ...] = ()
    """What the user has to mend, although the rest of the wish takes effect without it."""
    trials: tuple[Trial, ...] = ()
    """What is wanted to be known of pods; those under way that are not wanted any more end."""
    look_again_seconds: float | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The merged parts of all concerns for one model."""

    objects: tuple[Object, ...]
    kept: tuple[Object, ...]
    secrets: tuple[Object, ...]
    keys: Mapping[str, Identity]
    reports: tuple[Report, ...]
    status: Mapping[str, Any]
    problems: tuple[Refused, ...]
    look_again_seconds: float | None
    notes: tuple[Note, ...] = ()
    prune: bool = True
    """False while something is refused or waited for: then nothing that runs is taken away."""
    trials: tuple[Trial, ...] = ()

    @classmethod
    def of(cls, parts: Iterable[Part], *, prune: bool = True) -> "Plan":
        """Merge parts; two concerns must not plan the same object.

        Raises:
            ValueError: an object is planned twice (a bug, never a user's fault).
        """
        parts = tuple(parts)
        objects = sorted((o for p in parts for o in p.objects), key=key_of)
        keys = [key_of(o) for o in objects]
        if len(set(keys)) != len(keys):
            raise ValueError(f"planned twice: {sorted({k for k in keys if keys.count(k) > 1})}")
        again = [p.look_again_seconds for p in parts if p.look_again_seconds is not None]
        again += [r.recheck_seconds for p in parts for r in p.problems if r.recheck_seconds is not None]
        return cls(
            objects=tuple(objects),
            kept=tuple(o for p in parts for o in p.kept),
            secrets=tuple(s for p in parts for s in p.secrets),
            keys={sha: who for p in parts for sha, who in p.keys.items()},
            reports=tuple(r for p in parts for r in p.reports),
            status={k: v for p in parts for k, v in p.status.items()},
            problems=tuple(r for p in parts for r in p.problems),
            look_again_seconds=min(again, default=None),
            notes=tuple(n for p in parts for n in p.notes),
            prune=prune,
            trials=tuple(t for p in parts for t in p.trials),
        )
