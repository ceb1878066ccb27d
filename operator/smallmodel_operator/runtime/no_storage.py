"""kopf remembers nothing on the objects it watches: our state is the status, and the loop is level-based.

By default kopf copies every object of every event three times to look for annotations it never wrote here, which
was half of the operator's CPU time.
"""

from typing import Any

import kopf


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
