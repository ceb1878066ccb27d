"""A process that is to end does, also where something in it hangs."""

import subprocess
import sys

HANGS = """
import threading
from smallmodel_operator.runtime.ending import end_within
end_within(3, {seconds})
threading.Event().wait({hangs})
"""


def ended(seconds: float, hangs: float) -> "subprocess.CompletedProcess[str]":
    code = HANGS.format(seconds=seconds, hangs=hangs)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_what_hangs_is_ended_with_its_code_and_says_where_it_was() -> None:
    done = ended(0.2, 50)
    assert done.returncode == 3
    assert "has not ended within" in done.stderr
    assert "in wait" in done.stderr


def test_what_ends_by_itself_is_let_alone() -> None:
    done = ended(30, 0.1)
    assert (done.returncode, done.stderr) == (0, "")
