"""How the bounds of an objective stand, and the condition that says so. Pure."""

from dataclasses import replace
from typing import Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.autoscaling.budget import Budget
from smallmodel_operator.core.scaling import Bounds, Latency, Objective, Scaled, Standing

FEW: Final = 20
"""Answers that say nothing of a percentile yet."""
_OF: Final = {Latency.FIRST_TOKEN: "first tokens", Latency.INTER_TOKEN: "streams", Latency.END_TO_END: "answers"}
_HOW: Final = {
    Latency.FIRST_TOKEN: "within {} ms",
    Latency.INTER_TOKEN: "within {} ms from token to token",
    Latency.END_TO_END: "complete within {} ms",
}
_WAY_OUT: Final = {
    Latency.FIRST_TOKEN: "Set `timeToFirstTokenMilliseconds` to more than that, or serve a smaller type, shorter "
    "prompts, or a faster profile.",
    Latency.INTER_TOKEN: "Set `interTokenMilliseconds` to more than that, or serve a smaller type or a faster profile.",
    Latency.END_TO_END: "Set `endToEndMilliseconds` to more than that, or ask for shorter answers, or serve a smaller "
    "type, or a faster profile.",
}


def standings(asked: Objective, budgets: tuple[Budget, ...]) -> tuple[Standing, ...]:
    """Of each bound that is asked, less how near it could be had. `budgets`: of the misses each allows, in the same
    order."""
    found = []
    for (kind, _), budget in zip(asked.bounds.asked, budgets, strict=True):
        attained = budget.attainment_percent
        met = None if attained is None or budget.answered < FEW else attained >= asked.percentile
        found.append(Standing(kind, attained, met))
    return tuple(found)


def report(asked: Objective, said: Scaled | None, alone: Bounds) -> Report:
    """Whether it is met. `alone`: seconds that a replica takes for one request, as far as known before any came."""
    kind = Condition.LATENCY_OBJECTIVE_MET
    known = {s.latency: s for s in said.standings} if said else {}
    least = dict(zip(Latency, alone, strict=True))
    stand = []
    for bound, seconds in asked.bounds.asked:
        standing = known.get(bound) or Standing(bound)
        stand.append((replace(standing, nearest=standing.nearest or least[bound]), seconds))
    wishes = {s.latency: wish(asked.percentile, s.latency, seconds) for s, seconds in stand}
    if beyond := [s for s, seconds in stand if s.nearest > seconds]:
        return Report(
            kind, False, Reason.OBJECTIVE_INFEASIBLE, " ".join(_infeasible(s, wishes[s.latency]) for s in beyond)
        )
    if missed := [s for s, _ in stand if s.met is False]:
        text = "; ".join(f"{s.attained:.1f} % were; asked for are {wishes[s.latency]}" for s in missed)
        return Report(kind, False, Reason.OBJECTIVE_MISSED, f"{text}.")
    if few := [s for s, _ in stand if s.met is None]:
        text = "; ".join(f"fewer than {FEW} {_OF[s.latency]} were counted for {wishes[s.latency]}" for s in few)
        return Report(kind, None, Reason.FEW_ANSWERS, f"{text[0].upper()}{text[1:]}.")
    had = ", and ".join(wishes.values())
    return Report(kind, True, Reason.OBJECTIVE_MET, f"{had} are had; `status.scaling.why` has the numbers.")


def wish(percentile: float, latency: Latency, seconds: float) -> str:
    """What is asked, in words."""
    return f"{percentile:g} % of {_OF[latency]} {_HOW[latency].format(milliseconds(seconds))}"


def milliseconds(seconds: float) -> str:
    """Whole ones; below ten with one digit more."""
    value = 1000 * seconds
    return f"{value:.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"


def _infeasible(standing: Standing, wished: str) -> str:
    return (
        f"{wished} cannot be had with any number of replicas: a replica for each request alone takes at least "
        f"{milliseconds(standing.nearest)} ms. {_WAY_OUT[standing.latency]}"
    )
