"""Trials: what the operator itself asks a model's pods, as values. Decided by concerns, run by cluster/trials."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an answer has to be. `value` by `kind`: a text, a pattern, a JSON schema, or a tool's name and arguments.

    It says what the user's data looks like, so nothing prints it.
    """

    kind: Literal["exact", "regex", "jsonSchema", "tool"]
    value: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Item:
    """One golden prompt. All but its id stays out of logs, status and events."""

    id: str
    messages: tuple[Mapping[str, Any], ...] = field(repr=False)
    expect: Expectation = field(repr=False)
    tools: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    max_tokens: int = 256
    adapter: str = ""
    """Name of the adapter that is asked; empty: the model without any."""


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """Golden prompts, and the digest of the text they were read from."""

    digest: str
    items: tuple[Item, ...]

    @property
    def adapters(self) -> Mapping[str, str]:
        """Adapters that are asked, by the prompt's id."""
        return {item.id: item.adapter for item in self.items if item.adapter}


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial of one pod. `key` names what is found out; its result answers until another key is wanted.

    `context` is tokens a request may use. With `golden` these prompts are asked, with `consistency` also several times
    and at once; without, speed is measured.
    """

    key: str
    address: str
    model: str
    slots: int
    context: int
    golden: GoldenSet | None = None
    consistency: bool = False
    adapters: tuple[str, ...] = ()
    """Names of the adapters in the pod, by number; empty where a number is free."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How fast a replica is: tokens and seconds. `decode` is all requests together, by how many there were at once.

    It is empty where an answer is over before its speed can be told.
    """

    prefill: float
    decode: tuple[tuple[int, float], ...]
    first_token: float


@dataclass(frozen=True, slots=True)
class Answers:
    """Ids of the golden prompts that were not answered as expected, and how often the same was answered again.

    In percent of the prompts that were repeated: alone (`strict`), and with all slots busy (`load`); None: not tried.
    """

    failed: tuple[str, ...]
    strict: int | None = None
    load: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A trial that did not come to its end yet, how often it was tried, and why. It is tried again."""

    tries: int
    message: str


Result = Figures | Answers | Failure
