"""What a month will have cost at its end, by what it has cost so far. Pure; UTC."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

FEWEST: Final = timedelta(hours=6)
"""Of a month that say something of the rest of it."""


def month_of(now: datetime) -> tuple[datetime, datetime]:
    """Begin and end of the month."""
    begin = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return begin, (begin + timedelta(days=32)).replace(day=1)


def span(now: datetime, created: datetime) -> tuple[timedelta, timedelta]:
    """How long a model has been there this month, and how long it may be from then to the month's end."""
    begin, end = month_of(now)
    since = min(max(begin, created), now)
    return now - since, end - since


def month_end(spent: Decimal, now: datetime, created: datetime) -> Decimal | None:
    """What it will come to, if the rest is as the days so far; None: too few hours to say."""
    elapsed, whole = span(now, created)
    if elapsed < FEWEST:
        return None
    return spent * Decimal(whole / elapsed)
