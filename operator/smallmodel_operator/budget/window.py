"""Days and months (UTC) in which something is counted. Pure; the clock is passed in."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property


class Period(StrEnum):
    """How long a window is."""

    DAY = "Day"
    MONTH = "Month"


_FORMS = {Period.DAY: "%Y-%m-%d", Period.MONTH: "%Y-%m"}


@dataclass(frozen=True)
class Window:
    """One day (`2026-11-22`) or one month (`2026-11`). Names of one period sort as their times do."""

    name: str

    @property
    def period(self) -> Period:
        return Period.DAY if len(self.name) > len("2026-11") else Period.MONTH

    @cached_property
    def begin(self) -> datetime:
        """Its first moment."""
        return datetime.strptime(self.name, _FORMS[self.period]).replace(tzinfo=UTC)

    @cached_property
    def end(self) -> datetime:
        """The first moment that is not in it any more."""
        if self.period is Period.DAY:
            return self.begin + timedelta(days=1)
        # A month after the first of one comes within its 32 days.
        return (self.begin + timedelta(days=32)).replace(day=1)

    def __str__(self) -> str:
        return self.name


def window(period: Period, now: datetime) -> Window:
    """The one `now` is in. `now`: with any time zone."""
    return Window(now.astimezone(UTC).strftime(_FORMS[period]))


def window_of(name: str) -> Window:
    """Read its name.

    Raises:
        ValueError: it is none.
    """
    found = Window(name)
    if found.begin.strftime(_FORMS[found.period]) != name:
        raise ValueError(f"{name!r} is neither a day nor a month")
    return found
