"""A plugin of pytest: on SIGUSR1 it says on stderr what all threads, and all tasks of all event loops, wait for.

A test that does not end is most often a task that nobody ends, and pytest looks at threads only.
"""

import asyncio
import faulthandler
import os
import signal
from contextlib import suppress
from types import FrameType

import pytest

_stderr = os.fdopen(os.dup(2), "w")
"""As it was before pytest took it."""


def pytest_configure(config: pytest.Config) -> None:
    signal.signal(signal.SIGUSR1, _say)
    # The threads come first, and without Python: where one holds its lock for ever, nothing else would be said.
    faulthandler.register(signal.SIGUSR1, _stderr, chain=True)


def _say(number: int, frame: FrameType | None) -> None:
    for task in set(asyncio.tasks._all_tasks):  # type: ignore[attr-defined] # those of all loops, not of one
        print(f"{task!r}, asked to end {task.cancelling()} times", file=_stderr)
        with suppress(TypeError):  # compiled code has no lines
            task.print_stack(file=_stderr)
    _stderr.flush()
