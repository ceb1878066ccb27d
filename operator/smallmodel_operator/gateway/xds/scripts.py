"""The Lua of the filters: packaged texts, constants and data in front of them."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files as package_files
from typing import Final

from smallmodel_operator.gateway.state import LARGEST_BODY_BYTES, Model, State

DOOR: Final = "door"
TARGET: Final = "target"
BACK: Final = "back"
"""Of routes of models: what comes in has passed the door, and its body agrees with its address."""
PARTS: Final = {
    DOOR: ("data", "sha256", "answers", "address", "model", "door"),
    TARGET: ("data", "answers", "model", "target"),
    # In the listener: what runs where a route brings no text of its own, on the way back for instance.
    f"{DOOR}-default": ("answers", "closed"),
    f"{TARGET}-default": ("answers", "closed", "back"),
    BACK: ("answers", "back"),
}
LACKS: Final = {"TGI": ("/v1/responses", "/v1/rerank", "/v1/embeddings")}
"""Paths an engine does not have at all. Where it depends on the model the engine says so itself."""


@cache
def _text(part: str) -> str:
    path = package_files("smallmodel_operator.gateway.xds") / "lua" / f"{part}.lua"
    # One scope each, or their local names would add up: Lua allows 200.
    return f"do\n{path.read_text(encoding='utf-8')}end\n"


def default(name: str) -> str:
    """What a filter does with a route that has no text for it."""
    return "".join(map(_text, PARTS[f"{name}-default"]))


def program(name: str) -> str:
    """What a filter runs for a request that has no route yet, without what it has to know."""
    return "".join(map(_text, PARTS[name]))


def largest_body(state: State) -> int:
    """Bytes of the largest body any model takes: no more is kept of any, whatever it asks for."""
    return max((model.access.max_body_bytes for model in state.models.values()), default=LARGEST_BODY_BYTES)


def script(name: str, state: State) -> str:
    """What a filter does with a request that has no route yet, with all it has to know.

    Raises:
        ValueError: a name in the state could not be quoted.
    """
    facts = "\n".join(_facts(state, keys=name == DOOR))
    if "]" in facts or "]" in state.cluster_domain:
        raise ValueError("a name of a model, key or caller contains ']'")
    head = f"DOMAIN = [[{state.cluster_domain}]]\nLARGEST = {largest_body(state)}\nDATA = [[\n{facts}\n]]\n"
    return head + program(name)


def _facts(state: State, keys: bool) -> Iterator[str]:
    """`k <sha256> <namespace or -> <identity>`, `m <target> <bytes> <closed> <limited> <paths or -> <identities>`."""
    if keys:
        for sha, who in sorted(state.keys.items()):
            yield f"k {sha} {who.namespace or '-'} {who.name}"
    for model in (state.models[target] for target in sorted(state.models)):
        # The door only lists models; one that cannot start is still asked for, and its answer says why.
        if not (keys and model.stalled):
            yield _model(model)


def _model(model: Model) -> str:
    lacks = ",".join(LACKS.get(model.engine, ())) or "-"
    allow = ",".join(sorted(model.access.allow)) or "-"
    closed = 2 if model.stopped else int(model.off)
    limited = int(bool(model.access.requests_per_minute))
    return f"m {model.target} {model.access.max_body_bytes} {closed} {limited} {lacks} {allow}"
