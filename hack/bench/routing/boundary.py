"""`make bench-boundary`: who leaves, of requests with something planted and of clean ones, as an agent decides.

Each goes through what the agent runs but for its socket and its disk: the route's labels, the decision, the pass. A
pass is checked over the bytes as they are sent on, as the egress does. The last line of standard output is one JSON
object; 1 when something that was planted may leave, or fewer than 99 % of the clean ones may.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from hack.bench.routing.dressed import dressed
from smallmodel_operator.boundary.passes import Gate, Sent, Signer
from smallmodel_operator.core.keys import egress_seed
from smallmodel_operator.gateway.decide.passes import Passes
from smallmodel_operator.gateway.decide.policies import Policies
from smallmodel_operator.gateway.decide.service import Call, Deciding
from smallmodel_operator.gateway.routed import Route
from smallmodel_operator.gateway.state import Endpoint, State
from smallmodel_operator.routing.asked import Request

MASTER: Final = b"m" * 32
NOW: Final = 1_800_000_000_000
MODEL: Final = "vendor/big-1"
WANTED: Final = 0.99
ROUTE: Final = {
    "metadata": {"namespace": "support", "name": "support"},
    "spec": {
        "targets": [
            {"name": "small", "smallModelRef": {"name": "bot"}},
            {"name": "cloud", "external": {"url": "https://api.example.com/v1", "model": MODEL}},
        ],
        "default": "small",
        "rules": [{"name": "all", "match": {}, "target": "cloud"}],
        "boundary": {
            "external": "WhenClean",
            "trusted": [{"name": "app", "namespace": "support", "labels": ["public"]}],
        },
    },
}


class Records:
    """In place of the disk: the last one."""

    reasons = ""

    async def __call__(self, body: Mapping[str, Any], content: bytes) -> None:
        self.reasons = body.get("slm.decision.reasons", "")


async def measured(number: int, seed: int) -> dict[str, Any]:
    """Recall by kind, and the share of the clean requests that are kept for a kind they do not have."""
    records, wrongly = Records(), Counter[str]()
    egress = (Endpoint("192.0.2.1", 1, ready=True),)
    state = State(routes={"support/support": Route.of(ROUTE)}, egress=egress)
    policies = Policies(lambda: state, lambda _: None)
    deciding = Deciding(
        policies.route, policies.labels, records, away=policies.away, sign=Passes(lambda: MASTER, lambda: NOW)
    )
    public, sent, left, unpassed = Signer(egress_seed(MASTER)).public, Counter[str](), Counter[str](), 0
    for n, one in enumerate(dressed(number, seed)):
        at = one.body.index(b'"support"')
        asked = Request("/v1/chat/completions", one.body)
        told = await deciding.decide(Call("support/support", "sa:support/app", f"r{n}", asked, place=f"{at},{at + 9}"))
        sent[one.kind] += 1
        if told.headers.get("x-slm-target") != "cloud":
            wrongly.update(() if one.kind else (said.rpartition("/")[2] for said in records.reasons.split(",")))
            continue
        left[one.kind] += 1
        body = one.body.replace(b'"support"', b'"%b"' % MODEL.encode(), 1)
        found = Gate([public], 0).check(told.headers["x-slm-pass"], Sent(f"r{n}", "support/support/cloud", body), NOW)
        unpassed += found.id != f"r{n}"
    deciding.close()
    clean, may = sent.pop(""), left.pop("", 0)
    return {
        "requests": number,
        "sensitive": sent.total(),
        "sensitive_that_left": left.total(),
        "clean": clean,
        "clean_that_left_unchanged": round((may - unpassed) / clean, 5),
        "recall": {kind: round(1 - left[kind] / sent[kind], 5) for kind in sorted(sent)},
        "false_positives": {kind: round(number / clean, 5) for kind, number in sorted(wrongly.items())},
    }


def main() -> int:
    """Print the table and one JSON object."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=8)
    wanted = options.parse_args()
    found = asyncio.run(measured(wanted.requests, wanted.seed))
    print(f"{'':20} {'found':>9} {'wrongly found':>15}")
    for kind in sorted(found["recall"].keys() | found["false_positives"].keys()):
        recall, wrongly = found["recall"].get(kind), found["false_positives"].get(kind, 0.0)
        print(f"{kind:20} {'-' if recall is None else f'{100 * recall:.3f} %':>9} {100 * wrongly:13.3f} %")
    print(json.dumps(found))
    return int(found["sensitive_that_left"] > 0 or found["clean_that_left_unchanged"] < WANTED)


if __name__ == "__main__":
    sys.exit(main())
