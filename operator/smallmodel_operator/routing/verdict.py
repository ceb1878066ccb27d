"""Where a request goes: one target of its route, or none. Pure: clock, labels and what targets can do are handed in.

In this order: labels that the gateway trusts, patterns over all texts, policy; then, among what these leave, rules by
capability and class of task, how hard the request is, and whether who is chosen can answer at all. Where nothing may
leave anyhow, nothing is looked for. What goes wrong on the way is a reason to stay inside; no request makes it raise.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final

from smallmodel_operator.routing.asked import Asked, Request, asked
from smallmodel_operator.routing.choice.share import Turn
from smallmodel_operator.routing.decision import Because as Because
from smallmodel_operator.routing.decision import Can as Can
from smallmodel_operator.routing.decision import Decision as Decision
from smallmodel_operator.routing.detect import decide as detect
from smallmodel_operator.routing.detect.decide import MOST_BYTES, Reason
from smallmodel_operator.routing.policy import Match, Ready, Rule, Target

MOST_SECONDS: Final = 1.0
"""A look that took longer keeps its request inside, whatever it found: nothing may depend on a slow machine."""
CHAT: Final = "/chat/completions"
_PLAIN: Final = frozenset({"", "identity"})


def decide(
    ready: Ready,
    request: Request,
    labels: Collection[str],
    can: Mapping[str, Can],
    clock: Callable[[], float],
    turn: Callable[[float], Turn] | None = None,
) -> Decision:
    """The decision. `can`: targets that are there and what each can do, by name; of no other one is ever chosen.

    `clock`: seconds that never go back. `turn`: of how hard a request is, whether to escalate it; None: the policy's
    threshold alone says.
    """
    try:
        until = clock() + MOST_SECONDS
        reasons = _reasons(ready, request, labels)
        if clock() > until:
            reasons.append(Reason("TimedOut"))
        wants = asked(request, MOST_BYTES)
        found = _named(ready, wants, tuple(reasons), can, request.named)
        return found or _choose(ready, wants, tuple(reasons), can, turn)
    except Exception:
        return kept(ready, "DecisionFailed", can, request)


def kept(ready: Ready, reason: str, can: Mapping[str, Can], request: Request | None = None) -> Decision:
    """The decision where none could be made: inside, by default, whatever the request asks for, or the target it names
    where that is inside. An adapter it names is not given up: then the default, or the first target, that has it."""
    wants = Asked(adapter=request.adapter) if request else Asked()
    found = _named(ready, wants, (Reason(reason),), can, request.named if request else "")
    return found or _choose(ready, wants, (Reason(reason),), can, None, plain=True)


def degraded(ready: Ready, request: Request, found: Decision, can: Mapping[str, Can], why: str) -> Decision:
    """The decision while the target outside does not answer: one inside in its place, as if there were no other;
    unchanged where none inside can."""
    inside = {name: one for name, one in can.items() if name in ready.targets and ready.targets[name].inside}
    instead = _choose(*_again(ready, request, found, (), inside))
    return replace(instead, degraded=why) if instead.target else found


def recognized(
    ready: Ready, request: Request, found: Decision, can: Mapping[str, Can], reasons: tuple[Reason, ...]
) -> Decision:
    """The decision after recognizers were asked; `reasons`: what they found, or why they could not say; none: as it
    was."""
    if not reasons:
        return found
    wants = asked(request, MOST_BYTES)
    return _named(ready, wants, reasons, can, request.named) or _choose(*_again(ready, request, found, reasons, can))


_Given = tuple[Ready, Asked, tuple[Reason, ...], Mapping[str, Can], Callable[[float], Turn] | None]


def _again(
    ready: Ready, request: Request, found: Decision, reasons: tuple[Reason, ...], can: Mapping[str, Can]
) -> _Given:
    """For a second choice: how hard a request is was asked for at most once, and counts once."""
    made = found.turn
    known, turn = (ready, lambda _: made) if made else (replace(ready, hard=None), None)
    return known, asked(request, MOST_BYTES), reasons, can, turn


def larger(ready: Ready, request: Request, found: Decision, can: Mapping[str, Can]) -> tuple[str, ...]:
    """Targets that may and can answer a request whose first answer is doubted, in their order; none: its answer is not
    judged. Only chats that the default answers are."""
    given = ready.policy.escalation
    if given is None or given.confidence is None or found.because is not Because.DEFAULT or found.degraded:
        return ()
    return others(ready, request, found, can) if judgeable(request, found) else ()


def judgeable(request: Request, found: Decision) -> bool:
    """Can an answer to it be judged? Whole chats, and no adapter's."""
    return found.target is not None and not request.adapter and request.whole and request.path.endswith(CHAT)


def others(ready: Ready, request: Request, found: Decision, can: Mapping[str, Can]) -> tuple[str, ...]:
    """Targets of `order` that may and can answer a request in place of who was decided on, in their order."""
    given = ready.policy.escalation
    if given is None or found.because is Because.NAMED:
        return ()
    may = [ready.targets[name] for name in given.order if name in can and ready.targets[name] != found.target]
    usable = _usable([t for t in may if t.inside or not found.reasons], asked(request, MOST_BYTES), can)
    return tuple(name for name in given.order if name in usable)


def doubted(ready: Ready, found: Decision, name: str, confidence: float, turn: Turn) -> Decision:
    """The decision on a request whose first answer its own model was not sure of."""
    return replace(found, target=ready.targets[name], because=Because.CONFIDENCE, confidence=confidence, turn=turn)


def chosen(ready: Ready, said: str) -> Decision | None:
    """The decision on a request whose target is known already (`Named/<target>`, `Share/<target>`); None: there is no
    such target inside."""
    because, _, name = said.partition("/")
    target = ready.targets.get(name)
    if target is None or not target.inside:
        return None
    return Decision(target, Because(because), (Reason("ExternalDenied"),), ready.hash)


def _reasons(ready: Ready, request: Request, labels: Collection[str]) -> list[Reason]:
    if not ready.leads_outside:
        return [Reason("ExternalDenied")]
    found = [*detect.told(ready.rules, labels), *unread(request)]
    return found or list(detect.decide(request.body, ready.rules, labels).reasons)


def unread(request: Request) -> Iterator[Reason]:
    """Why a request is not read: what is looked at must be what is sent on, and what its reader will take it for."""
    if "?" in request.path:
        yield Reason("Query")
    if not request.whole or request.size not in (None, len(request.body)):
        yield Reason("Incomplete")
    if request.content_encoding.strip().lower() not in _PLAIN:
        yield Reason("Encoded")
    kind, _, more = request.content_type.lower().partition(";")
    if kind.strip() != "application/json" or more.replace(" ", "").replace('"', "") not in ("", "charset=utf-8"):
        yield Reason("NotJson")


def _named(
    ready: Ready, wants: Asked, reasons: tuple[Reason, ...], can: Mapping[str, Can], name: str
) -> Decision | None:
    """Of a request that names its target: that one or none, by the same boundary as any other; None: it names none."""
    if not name:
        return None
    target = ready.targets.get(name)
    if target is None or name not in can or not _usable([target], wants, can):
        return Decision(None, Because.NOT_CAPABLE, reasons, ready.hash)
    if reasons and not target.inside:
        return Decision(None, Because.KEPT_INSIDE, reasons, ready.hash)
    return Decision(target, Because.NAMED, reasons, ready.hash)


def _choose(
    ready: Ready,
    wants: Asked,
    reasons: tuple[Reason, ...],
    can: Mapping[str, Can],
    turn: Callable[[float], Turn] | None,
    *,
    plain: bool = False,
) -> Decision:
    """`plain`: by default alone."""
    policy = ready.policy
    usable = _usable([t for t in policy.targets if t.name in can and (t.inside or not reasons)], wants, can)
    if not usable:
        anywhere = _usable([t for t in policy.targets if t.name in can], wants, can)
        return Decision(None, Because.KEPT_INSIDE if anywhere else _incapable(wants), reasons, ready.hash)
    made = Decision(None, Because.DEFAULT, reasons, ready.hash)
    if plain:
        return _answered(ready, _by_default(policy.default, made, usable), usable, can)
    ruled = _ruled(ready, wants, replace(made, task_class=_task(ready, wants)), usable, can)
    if ruled.target is None and ruled.because is Because.DEFAULT:
        ruled = _by_default(policy.default, ruled, usable)
        ruled = ruled if ruled.degraded else _escalated(ready, wants, ruled, usable, can, turn)
    return _answered(ready, ruled, usable, can)


def _incapable(wants: Asked) -> Because:
    return Because.NO_ADAPTER if wants.adapter else Because.NOT_CAPABLE


def _by_default(default: str, made: Decision, usable: Mapping[str, Target]) -> Decision:
    """With the default, or the nearest that can where that cannot."""
    if default in usable:
        return replace(made, target=usable[default])
    nearest = min(usable.values(), key=lambda target: not target.inside)
    return replace(made, target=nearest, because=Because.INSTEAD)


def _ruled(
    ready: Ready, wants: Asked, made: Decision, usable: Mapping[str, Target], can: Mapping[str, Can]
) -> Decision:
    """By the first rule that matches; as it is (`Default`, without a target) where none does.

    A request that names an adapter is for rules that name it, and for nothing else.
    """
    if wants.bad_deadline and any(rule.within for rule in ready.policy.rules):
        return replace(made, because=Because.BAD_DEADLINE)
    for rule in ready.policy.rules:
        if not _matches(rule.match, wants, made.task_class):
            continue
        if rule.within and wants.deadline is not None:
            return _in_time(rule, wants.deadline, made, usable, can)
        if rule.target in usable:
            return replace(made, target=usable[rule.target], because=Because.RULE, rule=rule.name)
    return replace(made, because=Because.NO_ADAPTER) if wants.adapter else made


def _in_time(
    rule: Rule, seconds: float, made: Decision, usable: Mapping[str, Target], can: Mapping[str, Can]
) -> Decision:
    """With the first of the rule's order of which it is known that it answers in time: unknown is not fast."""
    order = [name for name in rule.within.order if name in usable] if rule.within else []
    fast = next((n for n in order if can[n].answers and (p95 := can[n].p95) is not None and p95 <= seconds), None)
    found = replace(made, rule=rule.name, deadline=seconds, measured=tuple((n, can[n].p95) for n in order))
    if fast is not None:
        return replace(found, target=usable[fast], because=Because.RULE)
    if rule.within and rule.within.refuse:
        return replace(found, because=Because.TOO_SLOW)
    return replace(found, degraded="deadline")


def _escalated(
    ready: Ready,
    wants: Asked,
    chosen: Decision,
    usable: Mapping[str, Target],
    can: Mapping[str, Can],
    turn: Callable[[float], Turn] | None,
) -> Decision:
    """With the target of a request that is hard; how hard it is is not asked where no such target may and can."""
    given = ready.policy.escalation
    order = [usable[name] for name in given.order if name in usable] if given else []
    if given is None or not order or ready.hard is None:
        return chosen
    score = ready.hard.probability(wants.prompt)
    made = turn(score) if turn else plainly(score, given.threshold)
    harder = next((target for target in order if can[target.name].answers), None)
    if made.escalate and harder is not None:
        return replace(chosen, target=harder, because=Because.COMPLEXITY, complexity=score, turn=made)
    return replace(chosen, complexity=score, turn=made, degraded="unavailable" if made.escalate else "")


def plainly(score: float, threshold: float) -> Turn:
    """By a threshold alone."""
    return Turn(True, threshold) if score >= threshold else Turn(False, threshold, "BelowThreshold")


def _answered(ready: Ready, chosen: Decision, usable: Mapping[str, Target], can: Mapping[str, Can]) -> Decision:
    """With the next of the order where the policy wants that, and who was chosen cannot answer."""
    given, target = ready.policy.escalation, chosen.target
    if given is None or not given.on_unavailable or target is None or can[target.name].answers:
        return chosen
    instead = next((usable[name] for name in given.order if name in usable and can[name].answers), None)
    return replace(chosen, target=instead, because=Because.UNAVAILABLE) if instead else chosen


def _usable(may: list[Target], wants: Asked, can: Mapping[str, Can]) -> dict[str, Target]:
    """Those that can, in the order of the policy. Length is an estimate, so it chooses among them and refuses none."""
    able = {
        t.name: t
        for t in may
        if wants.needs <= can[t.name].needs and (not wants.adapter or wants.adapter in can[t.name].adapters)
    }
    long = {n: t for n, t in able.items() if (most := can[n].context_tokens) is None or most >= wants.tokens}
    return long or able


def _matches(match: Match, wants: Asked, task: str) -> bool:
    return (
        match.task_class in ("", task)
        and wants.needs.issuperset(match.requires)
        and (match.context_tokens_over is None or wants.tokens > match.context_tokens_over)
        and match.adapter == wants.adapter
    )


def _task(ready: Ready, wants: Asked) -> str:
    """The class of the request's task; empty: it is of none, or no rule asks for one."""
    if ready.tasks is None or not any(rule.match.task_class for rule in ready.policy.rules):
        return ""
    return ready.tasks.choose(wants.prompt)[0] or ""
