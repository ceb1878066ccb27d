"""What we give kopf instead of its defaults.

It remembers nothing on the objects it watches: our state is the status, and the loop is level-based. By default it
copies every object of every event three times to look for annotations it never wrote here, which was half of the
operator's CPU time.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import kopf


class Backoffs:
    """Seconds between tries, without end: kopf's default gives up, and with it the operator, after 54 s."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((1, 1, 2, 3), itertools.repeat(5))


class NoDiffBase(kopf.DiffBaseStorage):
    """No last-handled state: there are no handlers of changes."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class NoProgress(kopf.ProgressStorage):
    """No progress of handlers: there is one daemon, and it is never finished."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence
