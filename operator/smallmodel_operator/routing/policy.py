"""A route's policy as a value: where its requests may go, by which rules, and what must stay inside. Pure.

policy = RoutePolicy("support", "assistant", targets=(Target("small", "support/bot"),), default="small")
ready = compiled(policy, classifiers={})   # once, for many requests; BadPolicy names the field that is wrong
verdict.decide(ready, …)
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

from smallmodel_operator.routing.choice.classifier import Classifier, Escalation, TaskClass
from smallmodel_operator.routing.detect import decide as detect
from smallmodel_operator.routing.detect.patterns import SECRETS
from smallmodel_operator.routing.detect.recognizer import Recognizer
from smallmodel_operator.routing.detect.scanner import DETECTORS, BadPattern, Scanner


class Need(StrEnum):
    """What a request asks of whoever answers it."""

    TOOLS = "Tools"
    JSON_SCHEMA = "JsonSchema"
    EMBEDDINGS = "Embeddings"


class External(StrEnum):
    """Which requests may leave."""

    DENIED = "Denied"
    WHEN_CLEAN = "WhenClean"


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests may go. `model`: `<namespace>/<name>` of a model of the cluster, or what the outside calls it."""

    name: str
    model: str
    inside: bool = True


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests a rule is for: all that is given must hold. A rule that gives nothing is for every request, but
    for those that name an adapter: these are for rules that give it."""

    task_class: str = ""
    requires: tuple[Need, ...] = ()
    context_tokens_over: int | None = None
    adapter: str = ""


@dataclass(frozen=True, slots=True)
class Within:
    """Targets of requests that say how long they may take: the first of `order` that is known to be as fast.

    `refuse`: they are refused where none is; else the default answers.
    """

    order: tuple[str, ...]
    refuse: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """The target of requests that match; `within` in its place."""

    name: str
    match: Match
    target: str = ""
    within: Within | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of those it may choose."""
        return self.within.order if self.within else (self.target,)


class Measure(StrEnum):
    """How sure a model is of an answer, by the probabilities of its tokens (choice/confidence.py)."""

    MEAN = "Mean"
    LEAST = "Least"
    WHOLE = "Whole"


@dataclass(frozen=True, slots=True)
class Confidence:
    """Answers that their own model is less sure of are doubted. `below`: 0 to 1."""

    below: float
    measure: Measure = Measure.MEAN


@dataclass(frozen=True, slots=True)
class Escalate:
    """Where hard requests go: to the first of `order` that may and can, from a probability of `threshold` on.

    Args:
        classifier: digest of the file that says how hard one is; empty: none does.
        on_unavailable: requests whose target cannot answer go there, too.
        most_percent: how many of the scored requests are escalated at most, in each `window_seconds`. Who keeps to it
            is the caller's `turn`, see `verdict.decide`.
        confidence: the default's answers are judged, and the doubted ones go there; None: none is.
    """

    order: tuple[str, ...]
    threshold: float
    classifier: str
    on_unavailable: bool = False
    most_percent: float = 100.0
    window_seconds: float = 3600.0
    confidence: Confidence | None = None


@dataclass(frozen=True, slots=True)
class Trusted:
    """Callers whose labels count. `who`: `ns:<namespace>`, `sa:<namespace>/<name>` or `key:<namespace>/<route>/<name>`.

    `labels` are those all their requests carry, `may_label` those they may say of one.
    """

    who: str
    labels: tuple[str, ...] = ()
    may_label: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Boundary:
    """What stays inside. A request without a label always does; routing/declared.py says which ones it has."""

    external: External = External.DENIED
    detectors: tuple[str, ...] = DETECTORS
    labels: tuple[str, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()
    deny_terms: tuple[str, ...] = ()
    trusted: tuple[Trusted, ...] = ()
    recognizers: tuple[Recognizer, ...] = ()
    """Asked about what all else would let out."""

    @property
    def recognized(self) -> tuple[str, ...]:
        """Detectors that a recognizer answers for."""
        return tuple(dict.fromkeys(detector for one in self.recognizers for detector in one.detectors))


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """One route. `classifier`: digest of the file that tells classes of tasks apart; empty: no rule asks for one.

    `least`: probability a class needs; None: what the classifier says. `content`: the form in which requests are kept
    (audit/content/sealed.py); empty: none is. `withheld`: what requests are refused for beside
    that, by whoever asks; nothing here reads it.
    """

    namespace: str
    name: str
    targets: tuple[Target, ...]
    default: str
    rules: tuple[Rule, ...] = ()
    escalation: Escalate | None = None
    boundary: Boundary = Boundary()
    classifier: str = ""
    least: float | None = None
    content: str = ""
    withheld: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def route(self) -> str:
        return f"{self.namespace}/{self.name}"

    def said(self) -> dict[str, Any]:
        """All of it as JSON without fractions, which are texts: what a record says of it."""
        plain: dict[str, Any] = _texts(asdict(self))
        if not self.withheld:
            del plain["withheld"]
        if not self.content:
            del plain["content"]
        if self.escalation and self.escalation.confidence is None:
            del plain["escalation"]["confidence"]
        return plain

    def hash(self) -> str:
        """SHA-256 of the canonical JSON of what is said of it: what a decision is recorded with."""
        plain = json.dumps(self.said(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return "sha256:" + hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _texts(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_texts(item) for item in value]
    return repr(value) if isinstance(value, float) else value


class BadPolicy(ValueError):  # noqa: N818 - says what is the matter
    """It cannot be put into force; the text names the field and the way out."""


MOST_TARGETS: Final = 32


@dataclass(frozen=True, slots=True)
class Ready:
    """A policy that is ready to be asked."""

    policy: RoutePolicy
    hash: str
    targets: Mapping[str, Target]
    rules: detect.Compiled
    tasks: TaskClass | None
    hard: Escalation | None
    leads_outside: bool
    """Some target is outside, and the boundary lets clean requests go there."""
    keeps: Scanner | None = None
    """What is taken out of the texts of requests that are kept; None: none is."""


def compiled(policy: RoutePolicy, classifiers: Mapping[str, Classifier]) -> Ready:
    """Check a policy and compile it. `classifiers`: those that could be read, by their digest.

    A classifier that is not there is no error: its class is unknown then, and nothing is escalated.

    Raises:
        BadPolicy: it names a target that is not listed, two of one name, or patterns that do not run.
    """
    for problem in _problems(policy):
        raise BadPolicy(problem)
    given = policy.boundary
    try:
        wanted = detect.Policy(
            given.detectors, given.labels, given.patterns, given.deny_terms, recognized=given.recognized
        )
        rules = detect.compiled(wanted)
    except BadPattern as error:
        raise BadPolicy(f"boundary: {error}") from None
    tasks = classifiers.get(policy.classifier)
    if isinstance(tasks, TaskClass) and policy.least is not None:
        tasks = replace(tasks, least=policy.least)
    hard = classifiers.get(policy.escalation.classifier) if policy.escalation else None
    return Ready(
        policy,
        policy.hash(),
        {target.name: target for target in policy.targets},
        rules,
        tasks if isinstance(tasks, TaskClass) else None,
        hard if isinstance(hard, Escalation) else None,
        given.external is External.WHEN_CLEAN and not all(target.inside for target in policy.targets),
        _keeps(policy),
    )


def _keeps(policy: RoutePolicy) -> Scanner | None:
    """Whatever else is kept, secrets are not. Patterns and words of the boundary were looked at before."""
    if policy.content != "Redacted":
        return detect.compiled(detect.Policy((SECRETS,))).scanner if policy.content else None
    given = policy.boundary
    return detect.compiled(detect.Policy(DETECTORS, (), given.patterns, given.deny_terms)).scanner


def _problems(policy: RoutePolicy) -> Iterator[str]:
    names = [target.name for target in policy.targets]
    if not 1 <= len(names) <= MOST_TARGETS:
        yield f"targets: give between 1 and {MOST_TARGETS}."
    if len(set(names)) < len(names):
        yield "targets: two have the same name; rename one."
    rules = [rule.name for rule in policy.rules]
    if len(set(rules)) < len(rules):
        yield "rules: two have the same name; rename one."
    for field, name in _named(policy):
        if name not in names:
            yield f"{field}: {name!r} is none of `targets`; list it there, or name one of {', '.join(names)}."
    for target in policy.targets:
        if target.inside and not _is_model(target.model):
            yield f"targets: {target.name!r} names no model; give its namespace and name."
    if policy.escalation is not None and not 0.0 <= policy.escalation.threshold <= 1.0:
        yield "escalation.complexity.threshold: give a probability between 0 and 1."
    judged = policy.escalation.confidence if policy.escalation else None
    if judged is not None and not 0.0 <= judged.below <= 1.0:
        yield "escalation.confidence.below: give a probability between 0 and 1."


def _named(policy: RoutePolicy) -> Iterator[tuple[str, str]]:
    yield "default", policy.default
    for rule in policy.rules:
        field = "withinDeadline.order" if rule.within else "target"
        yield from ((f"rules[{rule.name}].{field}", name) for name in rule.targets)
    for name in policy.escalation.order if policy.escalation else ():
        yield "escalation.order", name


def _is_model(model: Any) -> bool:
    namespace, _, name = model.partition("/")
    return bool(namespace and name) and "/" not in name
