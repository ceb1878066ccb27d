"""Estimated against measured memory: the real engine on models of true size, every slot filled to its context.

Measured is the kernel's high-water mark of the engine's resident memory (VmHWM), with the weights mapped as always.
Each slot is sent a prompt of token numbers as long as its context but for a few tokens, which are then generated, all
slots at once. Beside it stands what the engine needs to keep: its anonymous memory at its peak plus the pages of files
it touched while it answered; that must be within the request the operator makes. The last line of the output is JSON;
the exit code is 1 when an estimate is off by more than 10 %, or a request is below what was needed.
"""

import argparse
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from hack.true_size import write
from hack.true_size.server import Server, serving
from hack.true_size.shapes import FILE_TYPE, SHAPES
from smallmodel_operator.cli.cpu import has_amx
from smallmodel_operator.quantization.decide import fit
from smallmodel_operator.quantization.memory import estimate
from smallmodel_operator.weights import describe, gguf

MIB = 2**20
TYPES = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
CASES = (
    *(f"0.5b:{kind}:{size}" for kind in TYPES for size in ("1024:4", "4096:1")),
    "0.5b:Q8_0:4096:4",
    "0.5b:Q4_0:2048:2",
    *(f"1b:{kind}:2048:1" for kind in TYPES),
    "1b:Q4_K_M:1024:4",
    *(f"gemma:{kind}:{size}" for kind in TYPES for size in ("1024:4", "4096:2")),
    "moe:Q8_0:1024:2",
    "moe:Q4_K_M:4096:1",
    "3b:Q4_K_M:4096:1",
    "8b:Q4_K_M:512:1",
)
"""size : block types : contextSize : parallelSlots"""
PARTS = ("weights", "repacked", "growth", "kv_cache", "checkpoints", "compute", "process")
GENERATED = 8
FIRST_TOKEN, TOKENS = 1000, 20_000
"""Prompts are made of these token numbers; every vocabulary here has them."""
SMALLEST_WEIGHTS = 200_000_000
"""Bytes; an error in percent says little of anything smaller."""
ALLOWED_PERCENT = 10.0
ANSWER_SECONDS = 3600
TELL_SECONDS = 15


def fill(server: Server, slot: int, context: int) -> None:
    """Fill one slot to its end.

    Raises:
        SystemExit: the engine refuses, or took fewer tokens than sent.
    """
    ask(server, slot, context - GENERATED, GENERATED)


def ask(server: Server, slot: int, tokens: int, generated: int, start: int = 0) -> None:
    """One prompt of so many tokens in one slot; `start` makes it another prompt.

    Raises:
        SystemExit: the engine refuses, or took fewer tokens than sent.
    """
    prompt = [FIRST_TOKEN + (start + slot * 7919 + i * 31) % TOKENS for i in range(tokens)]
    body = {"prompt": prompt, "n_predict": generated, "id_slot": slot, "cache_prompt": False, "ignore_eos": True}
    request = urllib.request.Request(
        f"{server.url}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            said = json.load(answer)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"llama-server answers {error.code}: {error.read().decode()[:300]}") from error
    if said["tokens_evaluated"] != len(prompt) or said["tokens_predicted"] < 1 or said["id_slot"] != slot:
        raise SystemExit(f"slot {slot} was not filled: {str(said)[:500]}")


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Say every so often that it still goes on, and for how long."""
    ended, began = threading.Event(), time.monotonic()

    def tell() -> None:
        while not ended.wait(TELL_SECONDS):
            print(f"{what}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def measure(case: str, threads: int = 0) -> dict[str, Any]:
    """One row: load, fill every slot, compare."""
    name, kind, context, slots = case.split(":")
    context_size, parallel_slots = int(context), int(slots)
    file = write.ensure(name, kind)
    with file.open("rb") as stream:
        facts = describe.facts(gguf.read_header(stream, file.stat().st_size), "", file.name, amx=has_amx())
    if facts.tensor_bytes < SMALLEST_WEIGHTS:
        raise SystemExit(f"{case}: {facts.tensor_bytes} bytes of weights are too few to say anything")
    settings: dict[str, Any] = {"context_size": context_size, "parallel_slots": parallel_slots}
    expected = estimate(facts, **settings)
    request = fit(facts, declared_request=None, limit=None, **settings).request_bytes
    print(f"{case}: loading {facts.file_bytes // MIB} MiB", file=sys.stderr, flush=True)
    with serving(file, context_size, parallel_slots, threads=threads) as server:
        ready = server.wait()
        loaded = server.peak_resident
        server.forget_touched()
        began = time.monotonic()
        with (
            telling(f"{case}: filling {parallel_slots} x {context_size} tokens"),
            ThreadPoolExecutor(parallel_slots) as p,
        ):
            list(p.map(lambda slot: fill(server, slot, context_size), range(parallel_slots)))
        filled = time.monotonic() - began
        server.look()
        needed = server.peak_anonymous + server.touched_files()
    return {
        "model": name,
        "arch": facts.architecture,
        "type": facts.quantization,
        "context": context_size,
        "slots": parallel_slots,
        "estimated_bytes": expected.peak,
        "measured_bytes": server.peak_resident,
        "error_percent": round(100 * (expected.peak - server.peak_resident) / server.peak_resident, 2),
        "requested_bytes": request,
        "needed_bytes": needed,
        "weights_bytes": facts.tensor_bytes,
        "anonymous_bytes": server.peak_anonymous,
        "loaded_bytes": loaded,
        "parts": {k: getattr(expected, k) for k in PARTS},
        "amx": has_amx(),
        "ready_seconds": round(ready, 1),
        "fill_seconds": round(filled, 1),
    }


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    figures = (row[k] // MIB for k in ("estimated_bytes", "measured_bytes", "requested_bytes", "needed_bytes"))
    estimated, measured, requested, needed = figures
    return (
        f"{row['arch']} {row['model']} {row['type']} {row['context']} x {row['slots']}: estimated {estimated:,} MiB, "
        f"measured {measured:,} MiB ({row['error_percent']:+.1f} %); requested {requested:,} MiB, needed {needed:,} MiB"
    )


def wrong(rows: list[dict[str, Any]]) -> list[str]:
    """Rows that do not hold."""
    found = [line(r) for r in rows if abs(r["error_percent"]) > ALLOWED_PERCENT]
    return found + [line(r) for r in rows if r["needed_bytes"] > r["requested_bytes"]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=CASES, metavar="SIZE:TYPE:CONTEXT:SLOTS")
    parser.add_argument("--threads", type=int, default=0, help="of the engine; default: one for each processor")
    options = parser.parse_args()
    for case in options.cases:
        name, kind, *_ = case.split(":")
        if case.count(":") != 3 or name not in SHAPES or kind not in FILE_TYPE:
            parser.error(f"{case}: sizes are {', '.join(SHAPES)}, types are {', '.join(FILE_TYPE)}")
    if os.geteuid() != 0:
        parser.error("needs root for its chroot (try: sudo -E make bench-memory)")
    rows: list[dict[str, Any]] = []
    for number, case in enumerate(options.cases, start=1):
        rows.append(measure(case, options.threads))
        print(f"[{number}/{len(options.cases)}] {line(rows[-1])}", flush=True)
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    for text in wrong(rows):
        print(f"does not hold: {text}")
    worst = max(abs(r["error_percent"]) for r in rows)
    print(json.dumps({"rows": rows, "worst_error_percent": worst}), flush=True)
    return 1 if wrong(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
