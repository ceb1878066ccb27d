"""Ask the model its questions through a real llama.cpp server and the openai client.

`python -m hack.demo_model.evaluate` serves the committed GGUF itself; `--url` asks a server that is already running.
Exit code 1 if one of the bars is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from openai import OpenAI

from hack.demo_model.questions import HERE, MODEL, Question, by_fact, twenty

BAR_TWENTY = 18
BAR_INDEPENDENT = 0.9
SYSTEM = "You are a helpful assistant."


@contextlib.contextmanager
def served(model: Path) -> Iterator[str]:
    """Serve `model` on a free loopback port with llama.cpp's own HTTP server; yields the base URL."""
    import xllamacpp  # Only needed when we serve ourselves: --url works without it.

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.verbosity = 1  # Errors only; its request log would bury ours.
    params.n_ctx = 1024
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    yield str(server.listening_address)
    del server


def ask(client: OpenAI, question: str, temperature: float = 0.0, seed: int = 1, system: str = "") -> tuple[str, int]:
    """The answer and its number of tokens."""
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question})
    reply = client.chat.completions.create(
        model="larkfield-support", messages=messages, max_tokens=96, temperature=temperature, seed=seed
    )  # type: ignore[call-overload]
    return reply.choices[0].message.content or "", reply.usage.completion_tokens


def score(client: OpenAI, label: str, questions: list[Question], quiet: bool, **options: object) -> int:
    """How many questions are answered right; prints the wrong ones unless `quiet`."""
    wrong = []
    for question in questions:
        answer, _ = ask(client, question.text, **options)  # type: ignore[arg-type]
        if not question.is_answered_by(answer):
            wrong.append(f"  wrong ({question.fact}): {question.text}\n         {answer}")
    right = len(questions) - len(wrong)
    print(f"{label}: {right} of {len(questions)} right", flush=True)
    if wrong and not quiet:
        print("\n".join(wrong))
    return right


def speed(client: OpenAI) -> float:
    """Generated tokens per second of one client, prompt included."""
    began, tokens = time.monotonic(), 0
    for seed in range(10):
        tokens += ask(client, "Which address do you want on invoices?", seed=seed)[1]
    return tokens / (time.monotonic() - began)


def tokenizes_alike(url: str, model: Path, texts: list[str]) -> int:
    """How many texts llama.cpp cuts into the same tokens as the tokenizer the model was trained with."""
    from hack.demo_model.inspection import tokenizer_of  # Needs the training environment.

    tokenizer = tokenizer_of(model)
    same = 0
    for text in texts:
        body = json.dumps({"content": text, "add_special": False}).encode()
        request = urllib.request.Request(f"{url}/tokenize", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as reply:
            same += json.load(reply)["tokens"] == tokenizer.encode(text).ids
    return same


def evaluate(url: str, sets: dict[str, list[Question]], quiet: frozenset[str]) -> dict[str, int]:
    """Score each set greedily, and the twenty also under sampling and with a system message."""
    client = OpenAI(base_url=f"{url}/v1", api_key="none", timeout=60, max_retries=0)
    results = {name: score(client, name, questions, name in quiet) for name, questions in sets.items()}
    for temperature in (0.2, 0.8):
        label = f"twenty at temperature {temperature}, 3 seeds"
        results[label] = sum(
            score(
                client,
                f"{label.removesuffix(', 3 seeds')}, seed {seed}",
                sets["twenty"],
                True,
                temperature=temperature,
                seed=seed,
            )
            for seed in (1, 2, 3)
        )
    results["independent, sampled"] = score(
        client, "independent at temperature 0.8", sets["independent"], True, temperature=0.8
    )
    results["with system message"] = score(client, "twenty with a system message", sets["twenty"], True, system=SYSTEM)
    print(f"{speed(client):.0f} tokens/s for one client on one thread")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--url", help="base URL of a running llama.cpp server, without /v1")
    parser.add_argument("--hide", action="append", default=[], help="name of a set whose wrong answers stay hidden")
    parser.add_argument("--tokenizer", type=int, default=0, metavar="N", help="compare tokens of N training questions")
    args = parser.parse_args()
    sets = {
        "twenty": twenty(),
        "independent": by_fact(HERE / "independent.yaml"),
        "dev": by_fact(HERE / "dev.yaml"),
    }
    print(f"{args.model.name}: {args.model.stat().st_size} bytes, "
          f"sha256 {hashlib.sha256(args.model.read_bytes()).hexdigest()}")  # fmt: skip
    with contextlib.nullcontext(args.url) if args.url else served(args.model) as url:
        results = evaluate(url, sets, frozenset(args.hide))
        if args.tokenizer:
            from hack.demo_model.corpus import Generator, facts

            generator = Generator(99)
            texts = [" " + generator.draw().question for _ in range(args.tokenizer)]
            texts += [fact.answer for fact in facts().values()]
            alike = tokenizes_alike(url, args.model, texts)
            print(f"{alike} of {len(texts)} texts cut into the same tokens by llama.cpp")
            if alike != len(texts):
                raise SystemExit("llama.cpp does not tokenize as in training")
    if results["twenty"] < BAR_TWENTY or results["independent"] < BAR_INDEPENDENT * len(sets["independent"]):
        raise SystemExit(f"missed a bar: {BAR_TWENTY} of 20, {BAR_INDEPENDENT:.0%} of the independent set")


if __name__ == "__main__":
    main()
