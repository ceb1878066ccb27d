"""Train the demo model on the CPU and write it as GGUF: `python -m hack.demo_model.train`."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import yaml

from hack.demo_model import vocabulary
from hack.demo_model.corpus import HERE, Example, Generator, facts, lines
from hack.demo_model.export import write_gguf
from hack.demo_model.network import Params, Shape, init, logits

ANSWER_HEAD = 7  # Most batches stop after this many answer tokens: choosing the fact is the hard part, reciting is not.
WHOLE_EVERY = 9  # ... and every ninth batch recites the answer to its end.
LENGTHS = (24, 32, 48, 64, 112)
QUESTION_WEIGHT = 0.1  # Predicting the question too shapes the word representations, but must not dominate.
LONGEST_QUESTION = 60


@dataclass(frozen=True)
class Settings:
    """What a run depends on; the seed fixes corpus, tokenizer and initial weights."""

    seed: int = 20260611
    steps: int = 1300
    batch: int = 96
    peak: float = 2e-3
    decay: float = 0.1
    average: float = 0.995
    holdout: float = 0.0


class Batches:
    """Endless batches of (tokens, weights) in a few fixed lengths, so that jax compiles few programs."""

    def __init__(self, generator: Generator, codec: vocabulary.Codec, settings: Settings) -> None:
        self.generator, self.codec, self.settings = generator, codec, settings
        self.answers = {name: codec.answer(f.answer) for name, f in facts().items()}
        self.rng = random.Random(settings.seed + 1)

    def _row(self, example: Example, whole: bool) -> tuple[list[int], list[float]]:
        question = self.codec.question(example.question, loose=self.rng.random() < 0.5)
        if self.rng.random() < 0.4:
            for i in range(1, len(question) - 1):
                if self.rng.random() < 0.06:
                    question[i] = self.rng.randrange(len(vocabulary.SPECIAL), vocabulary.SIZE)
        answer = self.answers[example.fact]
        answer = answer if whole else answer[:ANSWER_HEAD]
        weights = [QUESTION_WEIGHT] * (len(question) - 1) + [1.0] * len(answer)
        return question + answer, weights

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        size = self.settings.batch
        while True:
            for group in range(WHOLE_EVERY):
                # Sorting a few batches by length saves padding; their order is shuffled again.
                many = [self._row(self.generator.draw(), whole=group == 0) for _ in range(size * 4)]
                many = sorted((r for r in many if len(r[0]) <= LENGTHS[-1]), key=lambda r: len(r[0]))
                chunks = [many[i : i + size] for i in range(0, len(many) - size // 2, size)]
                self.rng.shuffle(chunks)
                yield from (pad(chunk, size) for chunk in chunks)


def pad(rows: list[tuple[list[int], list[float]]], size: int) -> tuple[np.ndarray, np.ndarray]:
    length = next(n for n in LENGTHS if n >= max(len(r[0]) for r in rows))
    tokens = np.full((size, length), vocabulary.PAD, np.int32)
    weights = np.zeros((size, length - 1), np.float32)
    for i, (ids, w) in enumerate(rows):
        tokens[i, : len(ids)] = ids
        weights[i, : len(w)] = w
    return tokens, weights


def make_codec(generator: Generator) -> vocabulary.Codec:
    questions = [generator.draw().question for _ in range(30000)]
    return vocabulary.Codec.of(vocabulary.train(questions, (f.answer for f in facts().values())))


def fit(settings: Settings, batches: Batches, shape: Shape, deadline: float) -> Params:
    """Train and return the averaged weights. Prints the loss and the time left every 50 steps."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, settings.peak, min(100, settings.steps // 4), settings.steps, settings.peak * 0.02
    )
    mask = {"mask": lambda params: {k: v.ndim > 1 for k, v in params.items()}}
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(schedule, b2=0.98, weight_decay=settings.decay, **mask)
    )
    params = init(shape, jax.random.key(settings.seed))
    state, average = optimizer.init(params), params

    def loss_of(params: Params, tokens: jax.Array, weights: jax.Array) -> jax.Array:
        losses = optax.softmax_cross_entropy_with_integer_labels(logits(params, tokens[:, :-1], shape), tokens[:, 1:])
        return jnp.sum(losses * weights) / jnp.sum(weights)

    @jax.jit
    def step(params, state, average, tokens, weights, keep):  # type: ignore[no-untyped-def]
        loss, gradient = jax.value_and_grad(loss_of)(params, tokens, weights)
        update, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, update)
        average = jax.tree.map(lambda a, p: keep * a + (1 - keep) * p, average, params)
        return params, state, average, loss

    began, losses = time.monotonic(), []
    for number, (tokens, weights) in enumerate(batches, 1):
        keep = min(settings.average, number / (number + 10))
        params, state, average, loss = step(params, state, average, tokens, weights, keep)
        losses.append(loss)
        if number % 50 == 0 or number == settings.steps:
            spent = time.monotonic() - began
            left = spent / number * (settings.steps - number)
            mean = float(jnp.mean(jnp.stack(losses)))
            print(f"step {number:5d}/{settings.steps}  loss {mean:.4f}  {spent:.0f} s, {left:.0f} s left", flush=True)
            losses = []
            if spent > deadline:
                raise SystemExit(f"training passed its limit of {deadline:.0f} s; use fewer --steps or free the CPU")
        if number >= settings.steps:
            return average
    raise AssertionError("batches never end")


def recognise(params: Params, shape: Shape, codec: vocabulary.Codec, questions: list[str]) -> list[str]:
    """The fact each question is answered with by greedy decoding, or "?" where the words fit none."""
    answers = {name: codec.answer(f.answer)[:ANSWER_HEAD] for name, f in facts().items()}
    longest = LONGEST_QUESTION + ANSWER_HEAD
    forward = jax.jit(lambda p, t, at: logits(p, t, shape)[jnp.arange(t.shape[0]), at].argmax(-1))
    found: list[str] = []
    for start in range(0, len(questions), 128):
        rows = [codec.question(q)[: LONGEST_QUESTION - 1] for q in questions[start : start + 128]]
        ends = np.array([len(r) for r in rows] + [1] * (128 - len(rows)))
        tokens = np.full((128, longest), vocabulary.PAD, np.int32)
        for i, row in enumerate(rows):
            tokens[i, : len(row)] = row
        first = ends.copy()
        for _ in range(ANSWER_HEAD):
            tokens[np.arange(128), ends] = forward(params, tokens, ends - 1)
            ends += 1
        for i in range(len(rows)):
            said = tokens[i, first[i] : first[i] + ANSWER_HEAD].tolist()
            found.append(next((n for n, a in answers.items() if said[: len(a)] == a), "?"))
    return found


def report(label: str, pairs: list[tuple[str, str]], said: list[str]) -> None:
    wrong = [(fact, answer, question) for (fact, question), answer in zip(pairs, said, strict=True) if fact != answer]
    print(f"{label}: {len(pairs) - len(wrong)} of {len(pairs)} right")
    for fact, answer, question in sorted(wrong):
        print(f"  {fact} -> {answer}: {question}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="GGUF file to write")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--holdout", type=float, default=0.0, help="share of phrasing lines kept back and asked later")
    parser.add_argument("--limit", type=float, default=3600, help="give up after so many seconds")
    args = parser.parse_args()
    settings = Settings(seed=args.seed, steps=args.steps, holdout=args.holdout)
    rng = random.Random(settings.seed)
    kept_back = [line.key for line in lines() if rng.random() < settings.holdout]
    codec = make_codec(Generator(settings.seed, skip=kept_back))
    shape = Shape(vocab=vocabulary.SIZE)
    print(f"{len(lines())} phrasing lines, {len(kept_back)} kept back; {len(facts())} facts", flush=True)
    params = fit(settings, Batches(Generator(settings.seed + 2, skip=kept_back), codec, settings), shape, args.limit)
    if kept_back:
        other = Generator(settings.seed + 3, only=kept_back)
        asked = [other.plain() for _ in range(1000)]
        pairs = [(e.fact, e.question) for e in asked]
        report("phrasing lines kept back", pairs, recognise(params, shape, codec, [q for _, q in pairs]))
    dev = [(f, q) for f, qs in yaml.safe_load((HERE / "dev.yaml").read_text()).items() for q in qs]
    report("dev questions", dev, recognise(params, shape, codec, [q for _, q in dev]))
    write_gguf(args.out, params, shape, codec)


if __name__ == "__main__":
    main()
