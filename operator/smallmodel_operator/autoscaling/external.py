"""How many replicas a model has in mode External: those that are written through the scale subresource. Pure.

Until somebody writes what runs is kept: whoever had the word before may have had more than `spec.replicas`, which falls
back to its default when Git leaves it out.
"""

from typing import Final

from smallmodel_operator.autoscaling.sleep import Count
from smallmodel_operator.core.external import External, Seen

DEFAULT: Final = 1
"""Of `spec.replicas`: what is there when nobody sets it."""


def look(wish: int, given: External, before: Seen | None) -> Seen:
    """After another pass.

    Args:
        wish: `spec.replicas`.
        given: what the object tells of it.
        before: what the pass before saw; None: the mode becomes External now.
    """
    if before is None:
        return Seen(wish, given.owned, False)
    if before.owned and not given.owned and wish == DEFAULT:
        return Seen(wish, False, False)  # taken out of a manifest: nobody's number
    return Seen(wish, given.owned, before.written or wish != before.replicas)


def decide(seen: Seen, current: int | None) -> Count:
    """The number of replicas; `current` is `spec.replicas` of its Deployment, None: there is none yet."""
    wish = seen.replicas
    if not wish:
        return Count(0, "suspended, or scaled to 0")
    if seen.written or not current or current == wish:
        return Count(wish, f"`spec.replicas` is {wish}")
    return Count(current, f"{current} kept: `spec.replicas` was not written since the mode is External")
