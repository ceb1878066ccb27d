"""How many replicas a model has in mode Manual, and when it may sleep. Pure; times in seconds.

Absent is not zero: a gateway that does not answer may carry a request, so its silence keeps the model awake. Waking
is the gateways' affair (they write 0 -> 1 themselves); a count of 1 they wrote is taken as the current one.
"""

from dataclasses import dataclass
from typing import Final

from smallmodel_operator.core.external import External
from smallmodel_operator.core.traffic import Traffic

LOOK_AGAIN_SECONDS: Final = 10.0
"""While gateways do not answer, or carry requests."""
LEAST_LOOK_SECONDS: Final = 0.5
END_LOOK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class SleepRequest:
    """What a model wants: `replicas` when awake, sleep after `idle_seconds` if it `may_sleep`.

    `limits`: the fewest and the most replicas when awake, where an objective says how many; None: its user does, or,
    with `external`, who writes through the scale subresource.
    """

    replicas: int
    may_sleep: bool = False
    idle_seconds: float = 300.0
    limits: tuple[int, int] | None = None
    external: External | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """The replicas to write. `asleep`: none, because nobody asks; `waking`: one comes, for somebody who does;
    `refused`: whoever asks is refused, for there is no money left."""

    replicas: int
    why: str
    asleep: bool = False
    waking: bool = False
    look_again_seconds: float | None = None
    refused: bool = False


def decide(
    request: SleepRequest, current: int | None, available: int, traffic: Traffic, up_seconds: float = 0.0
) -> Count:
    """The number of replicas.

    Args:
        request: the model's wish.
        current: `spec.replicas` of its Deployment; None: there is none yet.
        available: replicas that answer.
        traffic: what the gateways say.
        up_seconds: for how long the model has answered. A start that took longer than the idle time is no idleness:
            who applied the model, or woke it, gets the whole of it.
    """
    awake = request.replicas
    if not awake:
        return Count(0, "switched off by its user")
    if not request.may_sleep:
        return Count(awake, f"`spec.replicas` is {awake}")
    if current is None:
        return Count(awake, "it starts awake", look_again_seconds=LOOK_AGAIN_SECONDS)
    if current == 0:
        return Count(0, _asleep(request), asleep=True)
    if not available:
        # One is enough for those who wait; the others follow once it answers, and do not compete for its start.
        return Count(min(current, awake), "a replica starts", waking=True)
    return _awake(request, traffic, up_seconds)


def end(current: int | None, traffic: Traffic, *, refuse: bool) -> Count:
    """For a model that may cost nothing any more: none once nobody is answered. Not known is not nobody.

    `refuse`: new requests are refused before that, too.
    """
    why = "the month's budget is used up"
    if not current or (traffic.current and not traffic.busy):
        return Count(0, why, refused=True)
    why += ": what is asked is still answered"
    return Count(current, why, look_again_seconds=END_LOOK_SECONDS, refused=refuse)


def _awake(request: SleepRequest, traffic: Traffic, up_seconds: float) -> Count:
    # One sentence for all of it: a status that followed the traffic would be written with every request.
    why = f"awake: it sleeps once every gateway says that no request came for {request.idle_seconds:g} s"
    if not traffic.complete or traffic.busy:
        return Count(request.replicas, why, look_again_seconds=LOOK_AGAIN_SECONDS)
    left = request.idle_seconds - min(traffic.idle, up_seconds)
    if left > 0:
        return Count(request.replicas, why, look_again_seconds=max(LEAST_LOOK_SECONDS, left))
    if not traffic.current:
        return Count(request.replicas, why, look_again_seconds=LEAST_LOOK_SECONDS)
    return Count(0, _asleep(request), asleep=True)


def _asleep(request: SleepRequest) -> str:
    return f"asleep: no request came for {request.idle_seconds:g} s"
