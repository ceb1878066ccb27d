"""What an HMAC of the request costs: CPU time of Envoy for a request, by size of the body, with it and without it.

Three gateways, asked in turn: no model wants one; another model does, which is nothing on this request's way, so what
it seems to add is the noise; this model does. JSON is the last line.
    python -m hack.bench.gateway.request_hmac
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.gateway.cases import CASES
from tests.gateway.running import Gateway
from tests.gateway.states import SUPPORT, model, state_of

from hack.bench.gateway.load import Request, engine, rate, used

KIB: Final = 1024
SIZES: Final = (KIB, 8 * KIB, 64 * KIB)
CONNECTIONS, WARM = 8, 20
OFF, OTHER, ON = "no model has it", "another model has it", "this model has it"
WANTED: Final = {OFF: (0, 0), OTHER: (0, 1), ON: (1, 1)}
"""The generation of the key of the model that is asked, and of another one."""


def bodies(folder: Path) -> dict[int, Path]:
    """A file with a request of each size."""
    found = {}
    for size in SIZES:
        body = {"model": "bot", "messages": [{"role": "user", "content": ""}]}
        body["messages"][0]["content"] = "x" * (size - len(json.dumps(body)))  # type: ignore[index]
        found[size] = folder / f"{size}.json"
        found[size].write_text(json.dumps(body))
    return found


def started(stack: ExitStack, folder: Path, port: int) -> dict[str, Gateway]:
    """The three gateways."""
    found = {}
    for number, (name, (own, other)) in enumerate(WANTED.items()):
        models = (model("support/bot", request_key=own), model("support/other", request_key=other))
        state = state_of(models, {"support/bot": port}, issuer=CASES["tokens"].issuer)
        found[name] = stack.enter_context(Gateway(folder / str(number), state))
    return found


def measure(rounds: int, seconds: float) -> dict[tuple[str, int], list[float]]:
    """Microseconds of CPU time for a request, by gateway and size, in each round."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    headers = ("Host: bot.support.svc.cluster.local", f"Authorization: Bearer {SUPPORT}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slm-")))
        files, gateways = bodies(folder), started(stack, folder, stack.enter_context(engine()))
        for turn in range(rounds):
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
            for size, body in files.items():
                for name, gateway in gateways.items():
                    request = Request(f"http://127.0.0.1:{gateway.port}/v1/chat/completions", body, headers)
                    before = used([gateway.pid]).cpu
                    sent = rate(request, CONNECTIONS, 0, seconds, warm=WARM)["sent"] + CONNECTIONS * WARM
                    found[name, size].append((used([gateway.pid]).cpu - before) / sent * 1e6)
    return found


def judged(found: Mapping[tuple[str, int], list[float]]) -> list[dict[str, float]]:
    """Medians for each size, and the median of what each round adds."""

    def added(name: str, size: int) -> float:
        return statistics.median(a - b for a, b in zip(found[name, size], found[OFF, size], strict=True))

    return [
        {
            "bytes": size,
            "without_us": round(statistics.median(found[OFF, size]), 1),
            "noise_us": round(added(OTHER, size), 1),
            "hmac_adds_us": round(added(ON, size), 1),
        }
        for size in SIZES
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hack.bench.gateway.request_hmac", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="turns of each")
    parser.add_argument("--seconds", type=float, default=1, help="of each turn")
    args = parser.parse_args()
    print(json.dumps(judged(measure(args.rounds, args.seconds))), flush=True)


if __name__ == "__main__":
    main()
