"""Waiting for the gateways: which of them have a boundary in force, and have proven that nothing leads outside."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from smallmodel_operator.api.names import BOUNDARY, GATEWAY, SYSTEM_NAMESPACE
from smallmodel_operator.boundary.stops import Stop
from smallmodel_operator.cli.boundary_limits import ways_out
from smallmodel_operator.cli.console import stderr
from smallmodel_operator.cluster.client import Client

KIND: Final = "ClusterBoundary"
POLL_SECONDS: Final = 0.1
HASH_DIGITS: Final = 12

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long the gateways are waited for, in seconds, and where they are."""

    seconds: float = 5.0
    namespace: str = SYSTEM_NAMESPACE


@dataclass(frozen=True, slots=True)
class Asked:
    """What gateways have to say: this generation is in force, and, with a word, a proof that answers it. `began`: when
    it was written (monotonic). `stops`: what stops inference by it."""

    generation: int
    word: str
    began: float
    waiting: Waiting
    stops: tuple[Stop, ...] = ()


class State(Enum):
    """Of one gateway."""

    CONFIRMED = "confirmed"
    MISSING = "missing"  # not yet, and perhaps soon
    BROKEN = "broken"  # it says itself that something leads outside


@dataclass(frozen=True, slots=True)
class Word:
    """What one gateway's entry says. `why`: what is missing or broken."""

    state: State
    why: str = ""


def judge(entry: Entry, generation: int, word: str) -> Word:
    """Does an entry of the status answer? An older proof is none: its gateway may be gone since."""
    proof = entry.get("proof") or {}
    answers = bool(word) and proof.get("asked") == word
    if answers and proof.get("leadsOutside"):
        return Word(State.BROKEN, "; ".join(map(str, proof["leadsOutside"])))
    if not entry:
        return Word(State.MISSING, "it has not said anything")
    if (has := int(entry.get("observedGeneration", 0))) < generation:
        return Word(State.MISSING, f"still generation {has}")
    if word and (not answers or int(proof.get("observedGeneration", 0)) < generation):
        return Word(State.MISSING, "it has not proven that nothing leads outside")
    return Word(State.CONFIRMED)


@dataclass(slots=True)
class _Heard:
    """What was heard so far: seconds after the write and entry of each that has confirmed; of the others why not."""

    names: list[str]
    confirmed: dict[str, tuple[float, Entry]] = field(default_factory=dict)
    others: dict[str, Word] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Nobody is left who may still confirm."""
        return all(word.state is State.BROKEN for word in self.others.values())


async def confirmed(client: Client, asked: Asked, *, as_json: bool) -> int:
    """Wait, print each gateway as soon as it has confirmed; 0 when all have in time."""
    names, namespace = await gateways(client, asked.waiting.namespace), asked.waiting.namespace
    if not names:
        return failed(
            f"no gateway runs in namespace {namespace}, so nobody has taken it over: those that start will. "
            "Is the gateway in another namespace (--system-namespace)?"
        )
    heard = _Heard(names)
    while True:
        entries = entries_of(await client.get(KIND, BOUNDARY))
        passed = time.monotonic() - asked.began
        for name in (name for name in names if name not in heard.confirmed):
            entry = entries.get(name, {})
            word = judge(entry, asked.generation, asked.word)
            heard.others[name] = word
            if word.state is State.CONFIRMED:
                del heard.others[name]
                heard.confirmed[name] = passed, entry
                if not as_json:
                    text = proven(entry) if asked.word else ""
                    print(f"  {name}: in force {passed:.1f} s after the write{cut(entry)}{text}", flush=True)
        if heard.over or passed > asked.waiting.seconds:
            break
        await asyncio.sleep(POLL_SECONDS)
    if as_json:
        _dump(asked, heard)
    return _judged(asked, heard, quiet=as_json)


def _judged(asked: Asked, heard: _Heard, *, quiet: bool) -> int:
    if heard.others:
        broken = {name: word.why for name, word in heard.others.items() if word.state is State.BROKEN}
        late = [name for name in sorted(heard.others) if name not in broken]
        for name, why in sorted(broken.items()):
            failed(f"NOT SEALED at {name}: {why}")
        return failed(_late(asked, heard, late)) if late else 1
    what = "in force and proven" if asked.word else "in force"
    if not quiet:
        print(f"{what} at all {len(heard.names)} gateways" if len(heard.names) > 1 else f"{what} at the one gateway")
    return 0


def _late(asked: Asked, heard: _Heard, late: list[str]) -> str:
    said = ", ".join(f"{name} ({heard.others[name].why})" for name in late)
    return f"NOT in force after {asked.waiting.seconds:.0f} s at {said}: {ways_out(asked.waiting.namespace, late)}"


def _dump(asked: Asked, heard: _Heard) -> None:
    found = []
    for name in heard.names:
        seconds, entry = heard.confirmed.get(name, (None, {}))
        word = heard.others.get(name, Word(State.CONFIRMED))
        said = {k: v for k, v in entry.items() if k != "name"}
        after = {} if seconds is None else {"seconds": round(seconds, 2)}
        found.append(
            {"name": name, "state": word.state.value, **({"why": word.why} if word.why else {}), **after, **said}
        )
    stopped = [stop.dump() for stop in asked.stops]
    whole = {"generation": asked.generation, "confirmed": not heard.others, "stopped": stopped, "gateways": found}
    print(json.dumps(whole | ({"asked": asked.word} if asked.word else {}), indent=2))


def proven(entry: Entry) -> str:
    """Its last proof, in words; empty: there is none."""
    proof = entry.get("proof")
    if not proof:
        return ""
    if proof.get("leadsOutside"):
        return f"; LEADS OUTSIDE: {'; '.join(map(str, proof['leadsOutside']))} (at {proof.get('time')})"
    named = str(proof.get("configuration", ""))[:HASH_DIGITS]
    return f"; nothing leads outside in configuration {named}, proven at {proof.get('time')}"


def cut(entry: Entry) -> str:
    """How many requests were cut for it, in words."""
    number = int(entry.get("cutRequests", 0))
    return f", {number} running request{'s' if number != 1 else ''} cut" if number else ""


def entries_of(obj: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """The gateways' entries in a ClusterBoundary's status, by name."""
    return {entry["name"]: entry for entry in ((obj or {}).get("status") or {}).get("gateways") or ()}


async def gateways(client: Client, namespace: str) -> list[str]:
    """Pods of the gateway, also those that are not ready: what runs through them runs all the same."""
    selector = f"kubernetes.io/service-name={GATEWAY}-pods"
    slices = await client.list("EndpointSlice", namespace, labelSelector=selector)
    found = {
        endpoint.get("targetRef", {}).get("name", endpoint["addresses"][0])
        for part in slices
        for endpoint in part.get("endpoints") or ()
    }
    return sorted(found)


def failed(message: str) -> int:
    """Say what went wrong; exit code 1."""
    stderr().print(message, style="red", markup=False)
    return 1
