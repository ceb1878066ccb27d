"""The classifier: it learns what is there to learn, says why, gives the same file every time, and reads no other."""

import base64
import json
import math
import random
import subprocess
import sys
import zlib
from array import array
from collections.abc import Callable
from functools import cache

import pytest
from tests.unit.routing import departments

from smallmodel_operator.routing.choice import file, ngrams
from smallmodel_operator.routing.choice.classifier import Escalation, TaskClass
from smallmodel_operator.routing.choice.linear import Plane, fit, sigmoid
from smallmodel_operator.routing.choice.training import Answered, TooLittle, learn_escalation, learn_tasks, platt


def some(number: int, seed: int) -> list[Answered]:
    """The weak model errs in proofs, mostly; both err now and then."""
    lots = random.Random(seed)
    found = []
    for _ in range(number):
        hard = lots.random() < 0.3
        what = lots.choice(
            ("prove the lemma", "derive a bound", "show convergence") if hard else ("greet", "list days")
        )
        weak = lots.random() < (0.2 if hard else 0.95)
        found.append(Answered(f"{what} for case {lots.choice('abcdefgh')}", lots.random() < 0.9, weak))
    return found


@cache
def learned() -> Escalation:
    return learn_escalation(some(400, 1))


@cache
def tasks() -> TaskClass:
    return learn_tasks(departments.prompts(12, 1))


def test_hard_prompts_are_likelier_to_need_the_larger_model() -> None:
    hard, easy = (learned().probability(f"{what} for case b") for what in ("prove the lemma", "greet"))
    assert easy < 0.15 < 0.5 < hard


def test_probabilities_come_true() -> None:
    held_out = some(2000, 2)
    said = [learned().probability(a.prompt) for a in held_out]
    assert math.isclose(sum(said) / len(said), sum(a.helps for a in held_out) / len(held_out), abs_tol=0.05)


def test_it_names_the_ngrams_that_decided() -> None:
    because = learned().explain("prove the lemma for case b", most=50)
    assert max(because, key=lambda b: b.weight).ngram in {
        "prove",
        "the",
        "lemma",
        "prove the",
        "the lemma",
        "lemma for",
    }
    bias = learned().plane.bias
    assert math.isclose(
        sigmoid(bias + sum(b.weight for b in because)),
        learned().probability("prove the lemma for case b"),
        abs_tol=1e-6,
    )


def test_departments_are_told_apart_on_prompts_not_seen() -> None:
    held_out = departments.prompts(25, 2)
    right = sum(tasks().choose(prompt)[0] == name for prompt, name in held_out)
    assert right >= 0.95 * len(held_out)


def test_what_is_of_no_department_goes_to_the_default() -> None:
    assert {tasks().choose(prompt)[0] for prompt in (*departments.ELSEWHERE, "", "1234", "Ωμέγα")} == {None}


def test_a_department_explains_itself() -> None:
    because = tasks().explain("the purchase order for the supplier quote", "procurement")
    assert {"purchase order", "purchase"} & {b.ngram for b in because[:4]}


def test_the_same_examples_give_the_same_file() -> None:
    assert file.write(learn_escalation(some(100, 3)), 100) == file.write(learn_escalation(some(100, 3)), 100)


def test_places_are_the_same_in_every_process() -> None:
    text = "Déjà vu – “quoted” words, 1984"
    code = f"from smallmodel_operator.routing.choice import ngrams; print(sorted(ngrams.places({text!r})))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(other) == sorted(ngrams.places(text)) == sorted(set(ngrams.named(text).values()))


def test_a_long_prompt_costs_no_more_than_its_beginning_and_end() -> None:
    text = "a b " * 3000 + "middle " * 100_000 + "the end"
    assert len(ngrams.words(text)) < ngrams.HEAD_CHARACTERS + ngrams.TAIL_CHARACTERS
    assert ngrams.words(text)[-2:] == [b"the", b"end"]


@pytest.mark.parametrize("text", ["", " ", "!?", "\ud800", "word", "\0"])
def test_any_text_has_a_probability(text: str) -> None:
    assert 0.0 < learned().probability(text) < 1.0
    assert isinstance(learned().explain(text), list)


def test_a_plane_without_places_is_its_bias() -> None:
    assert Plane(array("f", [1.0] * 4), 0.25).margin(set()) == 0.25


def test_it_finds_the_plane_that_tells_apart() -> None:
    plane = fit([(0, 1), (0, 2), (3, 1), (3, 2)] * 5, [True, True, False, False] * 5, 4, 10.0)
    assert plane.weights[0] > 1 > -1 > plane.weights[3]
    assert abs(plane.weights[1]) < 0.05


def test_calibration_never_turns_the_order_round() -> None:
    assert platt([1.0, 2.0, 3.0, 4.0], [True, True, False, False])[0] == 0.0
    assert platt([1.0, 2.0, 3.0, 4.0], [False, True, False, True])[0] > 0.0


@pytest.mark.parametrize(
    "examples",
    [[], some(5, 1), [Answered(f"p {n}", True, True) for n in range(50)]],
    ids=["none", "few", "the larger never helps"],
)
def test_too_little_to_learn_from_is_said(examples: list[Answered]) -> None:
    with pytest.raises(TooLittle, match="are needed"):
        learn_escalation(examples)


def test_one_class_is_no_choice() -> None:
    with pytest.raises(TooLittle, match="two classes"):
        learn_tasks([(f"p {n}", "one") for n in range(50)])


@pytest.mark.parametrize("kind", [learned, tasks], ids=["escalation", "tasks"])
def test_a_file_says_what_was_learned(kind: object) -> None:
    before = kind()  # type: ignore[operator]
    data = file.write(before, 7)
    after = file.read(data)
    assert file.write(after, 7) == data
    text = "prove the purchase order"
    if isinstance(before, Escalation) and isinstance(after, Escalation):
        assert math.isclose(before.probability(text), after.probability(text), abs_tol=1e-3)
    elif isinstance(before, TaskClass) and isinstance(after, TaskClass):
        assert before.choose(text)[0] == after.choose(text)[0]
    assert type(before) is type(after)


def test_a_file_fits_a_config_map() -> None:
    assert len(file.write(learned(), 1)) < 2**20


@cache
def written() -> bytes:
    return file.write(learned(), 400)


def damaged(**changed: object) -> bytes:
    body = {**json.loads(written()), **changed}
    body = {k: v for k, v in body.items() if v is not None}
    body.pop("digest", None)
    return json.dumps({**body, "digest": file._digest(body)}).encode()


def plane(**changed: object) -> list[dict[str, object]]:
    return [{**json.loads(written())["planes"][0], **changed}]


def packed(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw)).decode()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: b"", "not JSON"),
        (lambda: b"\x80\x04pickle", "not JSON"),
        (lambda: b"[" * 100_000, "not JSON"),
        (lambda: b"{}", "does not say"),
        (lambda: b" " * (file.MOST_BYTES + 1), "larger than"),
        (lambda: damaged(version=2), "version"),
        (lambda: damaged(bits=30), "version"),
        (lambda: damaged(kind="Other"), "kind"),
        (lambda: damaged(kind="TaskClass"), "kind"),
        (lambda: damaged(planes=[]), "planes"),
        (lambda: damaged(kind="TaskClass", planes=[*plane(name="a"), *plane(name="b")], least=2.0), "no probability"),
        (lambda: damaged(planes="x"), "planes"),
        (lambda: damaged(more=1), "digest"),
        (lambda: damaged(examples=None), "digest"),
        (lambda: written().replace(b'"examples": 400', b'"examples": 401'), "digest"),
        (lambda: damaged(planes=[1]), "lacks"),
        (lambda: damaged(planes=plane(bias="x")), "lacks"),
        (lambda: damaged(planes=plane(bias=float("nan"))), "no numbers"),
        (lambda: damaged(planes=plane(unit=1e300)), "no numbers"),
        (lambda: damaged(planes=plane(weights="***")), "unpacked"),
        (lambda: damaged(planes=plane(weights=packed(b"\0\0"))), "not as many"),
        (lambda: damaged(planes=plane(weights=packed(bytes(2**26)))), "not as many"),
    ],
)
def test_no_other_file_is_read(make: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(file.Unusable, match=reason):
        file.read(make())
