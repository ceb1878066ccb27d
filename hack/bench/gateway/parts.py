"""What each part of the gateway's configuration costs: CPU time for a request with all of it, and without one part.

None of these is a configuration to run (without the door everybody is let in): they only say where time goes.
    python -m hack.bench.gateway.parts
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.gateway.cases import CASES
from tests.gateway.running import Gateway
from tests.gateway.states import SUPPORT, model, state_of

from hack.bench.gateway.load import Request, bodies, engine, rate, used
from hack.bench.gateway.subjects import raw_envoy
from smallmodel_operator.gateway.state import State
from smallmodel_operator.gateway.xds import EnvoyRenderer, Site

CONNECTIONS, WARM = 8, 2
OPEN: Final = (
    "function envoy_on_request(h) h:headers():replace('x-slm-route', 'support/bot|bot') h:clearRouteCache() end"
)
ROUTED: Final = 'headers:replace("x-slm-target", way.target)'


@dataclass(frozen=True, slots=True)
class Parts:
    """The HTTP connection manager, and what the route without a target brings for each filter; to be changed."""

    manager: dict[str, Any]
    scripts: dict[str, Any]
    models: tuple[dict[str, Any], ...] = ()

    def drop(self, name: str) -> None:
        """Take a filter out. Raises ValueError if it is not there: a part that is gone costs nothing."""
        filters = self.manager["http_filters"]
        kept = [f for f in filters if f["name"].rpartition(".")[2] != name]
        if len(kept) == len(filters):
            raise ValueError(f"there is no filter {name}: {', '.join(f['name'] for f in filters)}")
        self.manager["http_filters"] = kept
        self.scripts.pop(name, None)


Change = Callable[[Parts], Any]


def no_bodies(parts: Parts) -> None:
    """The door says which model the body has."""
    parts.drop("bodies")
    source = parts.scripts["door"]["source_code"]
    if ROUTED not in source["inline_string"]:
        raise ValueError(f"the door's script has no {ROUTED} any more: change this file, too")
    said = f'{ROUTED} headers:replace("x-slm-route", "support/bot|bot") handle:clearRouteCache()'
    source["inline_string"] = source["inline_string"].replace(ROUTED, said)


def no_scripts(parts: Parts) -> None:
    """One line of Lua that sets the target."""
    parts.drop("bodies")
    parts.drop("target")
    for route in parts.models:
        route["typed_per_filter_config"].pop("target")
    parts.scripts["door"]["source_code"]["inline_string"] = OPEN


CHANGES: Final[Mapping[str, Change]] = {
    "everything": lambda parts: None,
    "access log": lambda parts: parts.manager.pop("access_log"),
    "local replies": lambda parts: parts.manager.pop("local_reply_config"),
    "jwt_authn": lambda parts: parts.drop("jwt_authn"),
    "local_ratelimit": lambda parts: parts.drop("local_ratelimit"),
    "bodies (model of the request, tokens of the answer)": no_bodies,
    "door, bodies, target": no_scripts,
}


class Without(EnvoyRenderer):
    """The renderer, with something taken out."""

    def __init__(self, site: Site, change: Change) -> None:
        super().__init__(site)
        self._change = change

    def everything(self, state: State) -> dict[str, Any]:
        files: dict[str, Any] = json.loads(json.dumps(super().everything(state)))  # a copy to change
        manager = files["xds/lds.json"]["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        matcher = files["xds/rds.json"]["resources"][0]["virtual_hosts"][0]["matcher"]
        route = matcher["on_no_match"]["action"]["typed_config"]
        found = matcher["matcher_tree"]["exact_match_map"]["map"].values()
        models = tuple(way["action"]["typed_config"] for way in found)
        self._change(Parts(manager, route["typed_per_filter_config"], models))
        return files


def started(stack: ExitStack, folder: Path, port: int, body: Path) -> dict[str, tuple[Request, int]]:
    """A raw Envoy and a gateway for each change: what to ask, and the process."""
    raw = stack.enter_context(raw_envoy(folder, port))
    subjects = {"raw Envoy": (Request(raw.url, body), raw.pids[0])}
    headers = ("Host: bot.support.svc.cluster.local", f"Authorization: Bearer {SUPPORT}")
    for n, (name, change) in enumerate(CHANGES.items()):
        state = state_of((model("support/bot"),), {"support/bot": port}, issuer=CASES["tokens"].issuer)
        running = Gateway(folder / str(n), state)
        running.renderer = Without(running.site, change)
        stack.enter_context(running)
        url = f"http://127.0.0.1:{running.port}/v1/chat/completions"
        subjects[name] = (Request(url, body, headers), running.pid)
    return subjects


def measure(rounds: int, seconds: float) -> Mapping[str, list[float]]:
    """Microseconds of CPU time for a request, by what was taken out, in each round."""
    found: MutableMapping[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slm-")))
        body, _ = bodies(folder)
        subjects = started(stack, folder, stack.enter_context(engine()), body)
        for turn in range(rounds):
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
            for name, (request, pid) in subjects.items():
                before = used([pid]).cpu
                sent = rate(request, CONNECTIONS, 0, seconds, warm=WARM)["sent"] + CONNECTIONS * WARM
                found[name].append((used([pid]).cpu - before) / sent * 1e6)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hack.bench.gateway.parts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--seconds", type=float, default=1, help="of each turn")
    args = parser.parse_args()
    found = measure(args.rounds, args.seconds)
    whole = statistics.median(found["everything"])
    for name, values in found.items():
        cost = statistics.median(values)
        word = name if name in ("raw Envoy", "everything") else f"without {name}"
        print(f"{word:42} {cost:5.0f} µs  {cost - whole:+5.0f}  least {min(values):.0f}", file=sys.stderr)
    print(json.dumps({name: round(statistics.median(values), 1) for name, values in found.items()}), flush=True)


if __name__ == "__main__":
    main()
