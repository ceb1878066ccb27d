"""A time as people write it, UTC: `2026`, `2026-Q4`, `2026-11`, `2026-11-21`, or `2026-11-01..2026-11-15`. Pure.

Both ends of `..` belong to it, a day or a month as a whole.
"""

import re
from calendar import month_name
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

_FORM: Final = re.compile(r"(\d{4})(?:-(?:Q([1-4])|(\d{2})(?:-(\d{2}))?))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` on and before `until`: days, `2026-11-01`."""

    since: str
    until: str

    @classmethod
    def of(cls, text: str) -> "Period":
        """Read it.

        Raises:
            ValueError: it is none, or ends before it begins.
        """
        first, dots, last = text.partition("..")
        since, until = _span(first)[0], _span(last if dots else first)[1]
        if since >= until:
            raise ValueError(f"{text!r} ends before it begins")
        return cls(since.isoformat(), until.isoformat())

    def __contains__(self, time: str) -> bool:
        return self.since <= time < self.until

    def words(self) -> str:
        """As people say it: `2026`, `July to September 2026`, `November 2026`, `1 to 15 November 2026`."""
        first, last = date.fromisoformat(self.since), date.fromisoformat(self.until) - timedelta(days=1)
        if first.day == 1 and (last + timedelta(days=1)).day == 1:
            if (first.month, last.month, last.year) == (1, 12, first.year):
                return str(first.year)
            return _between((month_name[first.month], first.year), (month_name[last.month], last.year))
        return _between((first.day, month_name[first.month], first.year), (last.day, month_name[last.month], last.year))


def _between(first: tuple[object, ...], last: tuple[object, ...]) -> str:
    """Both, without the end they have in common: day, month, year, or the latter two."""
    same = 0
    while same < len(first) and first[-1 - same :] == last[-1 - same :]:
        same += 1
    text = " ".join(map(str, last))
    rest = first[: len(first) - same]
    return f"{' '.join(map(str, rest))} to {text}" if rest else text


def _span(text: str) -> tuple[date, date]:
    """Its first day, and the first day after it."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time: 2026, 2026-Q4, 2026-11, 2026-11-21 or two of them with .. between")
    year, quarter, month, day = found.groups()
    try:
        if day:
            begin = date(int(year), int(month), int(day))
            return begin, begin + timedelta(days=1)
        begin = date(int(year), 3 * int(quarter) - 2 if quarter else int(month or 1), 1)
        after = begin.year * 12 + begin.month - 1 + (1 if month else 3 if quarter else 12)
        return begin, date(after // 12, after % 12 + 1, 1)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not in the calendar") from None
