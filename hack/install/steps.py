"""Running other programs: numbered steps, one way to fail, and a message that says what to do."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"


class InstallError(Exception):
    """Something the person at the keyboard can act on; the text names the cause and the way out."""


def say(text: str) -> None:
    print(text, flush=True)


def step(number: int, total: int, text: str) -> None:
    say(f"[{number}/{total}] {text}")


def capture(command: Sequence[str], *, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Standard output of a command. Raises InstallError with the command's own last words."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})}
        )
    except FileNotFoundError:
        raise InstallError(f"{command[0]} is not installed or not on the PATH.") from None
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip())[-1500:]
        raise InstallError(f"`{' '.join(command[:6])} ...` failed ({done.returncode}): {words}")
    return done.stdout


def stream(command: Sequence[str], *, what: str, env: Mapping[str, str] | None = None) -> None:
    """Runs a long command with its output on the terminal: that is its progress."""
    began = time.monotonic()
    try:
        code = subprocess.call(command, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    except FileNotFoundError:
        raise InstallError(f"{command[0]} is not installed or not on the PATH.") from None
    if code:
        raise InstallError(f"{what} failed ({code}); its output is above.")
    say(f"      {what}: {time.monotonic() - began:.0f} s")


@dataclass(frozen=True)
class Access:
    """How to reach the cluster: programs, and what goes before them (the test bed's network namespace)."""

    kubectl_program: str = "kubectl"
    helm_program: str = "helm"
    prefix: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return capture([*self.prefix, self.kubectl_program, *arguments], stdin=stdin, env=self.env)

    def helm(self, *arguments: str) -> str:
        return capture([*self.prefix, self.helm_program, *arguments], env=self.env)


def fail(error: InstallError) -> int:
    print(f"\nerror: {error}", file=sys.stderr, flush=True)
    return 1
