"""The Lua of the filters: packaged texts, constants and data in front of them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.resources import files as package_files
from typing import Any, Final

from smallmodel_operator.audit.request import LARGEST_BYTES
from smallmodel_operator.core.keys import request_key, request_key_name
from smallmodel_operator.gateway.routed import Route
from smallmodel_operator.gateway.state import LARGEST_BODY_BYTES, Model, State

DOOR: Final = "door"
TARGET: Final = "target"
HMAC: Final = "hmac"
"""Of routes of models with `spec.audit.requestHMAC`: what comes in has passed the door, and its body agrees with its
address. Others run none of it."""
TARGET_HMAC: Final = "target-hmac"
"""TARGET where any model wants it."""
DECIDED: Final = "decided"
"""Of routes with rules: from the target that was decided on to its model's route."""
DECIDED_HMAC: Final = "decided-hmac"
FAILURE: Final = "failure"
"""In front of the egress: what the outside said, where a request is answered inside instead."""
JUDGE: Final = "judge"
"""Of the door where answers are judged: it sends them to who judges, and goes by what that says."""
PARTS: Final = {
    DOOR: ("data", "sha256", "answers", "address", "model", "door"),
    TARGET: ("data", "answers", "model", "lead", "target"),
    DECIDED: ("data", "answers", "model", "lead", "leave", "decided"),
    # In the listener: what runs where a route brings no text of its own.
    f"{DOOR}-default": ("answers", "closed"),
    f"{TARGET}-default": ("answers", "closed"),
    f"{DECIDED}-default": ("answers", "closed"),
    FAILURE: ("failure",),
    JUDGE: ("judge",),
    HMAC: ("answers", "sha256", "hmac", "stamped"),
    TARGET_HMAC: ("data", "sha256", "hmac", "answers", "model", "lead", "target"),
    DECIDED_HMAC: ("data", "sha256", "hmac", "answers", "model", "lead", "leave", "decided"),
}


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
    stamping = {TARGET: TARGET_HMAC, DECIDED: DECIDED_HMAC}
    stamps = any(model.request_key for model in state.models.values())
    return head + program(stamping.get(name, name) if stamps else name)


def decided(route: Route, state: State) -> str:
    """What the filter DECIDED does with requests to a route: it knows that route and the models behind it."""
    models = {lead.target: state.models[lead.target] for lead in route.leads if lead.target in state.models}
    return script(DECIDED, replace(state, models=models, routes={route.path: route}))


def _facts(state: State, keys: bool) -> Iterator[str]:
    """`k <sha256> <namespace or -> <identity>`, `m <target> <bytes> <closed> <limited> <paths or -> <identities>`, and
    of models with adapters ` +<name>=<number>,…`; `h <target> <key's name> <key> <bytes>` of a model whose requests
    get an HMAC; `r <route> <bytes> <closed> <1: decided on, 2: always asked for, 3: both> <identities>
    <name>=<share>=<target>=<why not, or ok>,…`, of each of its targets outside `o <route> <name> <model>`, and
    `a <route> <adapters>` where its rules choose a target by adapter."""
    if keys:
        for sha, who in sorted(state.keys.items()):
            yield f"k {sha} {who.namespace or '-'} {who.name}"
    for model in (state.models[target] for target in sorted(state.models)):
        # The door only lists models; one that cannot start is still asked for, and its answer says why.
        if not (keys and model.stalled):
            yield _model(model)
            if model.request_key and not keys:
                yield f"h {model.target} {' '.join(map(str, stamp(state, model).values()))}"
    for path in sorted(state.routes):
        yield _route(state.routes[path], state)
        if adapters := state.routes[path].adapters(state.models):
            yield f"a {path} {','.join(adapters)}"
        yield from (f"o {path} {lead.name} {lead.outside}" for lead in state.routes[path].outside)


def stamp(state: State, model: Model) -> dict[str, Any]:
    """What makes the HMACs of a model's requests. Its namespace's key stands where the key of its engine does, in files
    and on a page that only this pod's containers read."""
    key = request_key(state.engine_master, model.namespace, model.request_key)
    return {"name": request_key_name(key, model.request_key), "key": key.hex(), "most": LARGEST_BYTES}


def _route(route: Route, state: State) -> str:
    allow = ",".join(sorted(route.access.allow)) or "-"
    leads = ",".join(f"{e.name}={e.share}={e.target}={route.why_not(e, state.models)}" for e in route.leads)
    asks = int(route.decides) + 2 * route.asks_always
    return f"r {route.path} {route.access.max_body_bytes} {2 * route.stopped} {asks} {allow} {leads}"


def _model(model: Model) -> str:
    lacks = ",".join(model.lacks) or "-"
    allow = ",".join(sorted(model.access.allow)) or "-"
    closed = 2 if model.stopped else 1 if model.off else 3 * model.spent
    limited = int(bool(model.access.requests_per_minute))
    line = f"m {model.target} {model.access.max_body_bytes} {closed} {limited} {lacks} {allow}"
    return f"{line} +{','.join(f'{name}={number}' for name, number in model.adapters)}" if model.lora else line
