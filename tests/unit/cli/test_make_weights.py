"""The first and the last step of the Job that makes a file of a type: files in a folder in, a result out."""

import hashlib
import json
import os
import time
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.test_survey_weights import F16, Q8

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.make_weights import Made, MadeBy, judge, prepare
from smallmodel_operator.cli.texts import Given, Texts
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.quantization import gate
from smallmodel_operator.weights import result
from smallmodel_operator.weights.make import SECONDS

MEASURED = """
====== Perplexity statistics ======
Mean PPL(Q)                   :  10.174720 ±   0.045678
Mean PPL(base)                :  10.000000 ±   0.044444
Cor(ln(PPL(Q)), ln(PPL(base))):  99.12%
Mean ln(PPL(Q)/PPL(base))     :   0.017321 ±   0.001234
Mean PPL(Q)/PPL(base)         :   1.017472 ±   0.001255

====== KL divergence statistics ======
Mean    KLD:   0.004345 ±   0.000123
Maximum KLD:   1.234567
99.9%   KLD:   0.106789
99.0%   KLD:   0.034567
Median  KLD:   0.001234

====== Token probability statistics ======
RMS Δp    :   1.234 ± 0.056 %
Same top p:  94.765 ± 0.123 %
"""
OF_PARENT = "0.38.521.058 I Final estimate: PPL = 10.0000 +/- 0.12345\n"
LIMITS = gate.DEFAULTS["Q8_0"]


class Claim:
    """The claim, the parent, and what a Job's steps leave and say."""

    def __init__(self, root: Path) -> None:
        self.parent = root / "parent.gguf"
        self.parent.write_bytes(F16)
        self.message = root / "termination-log"
        self.wish = Made(root / "quantized-x", "Q8_0", hashlib.sha256(F16).hexdigest(), ".work-1")
        self.by = MadeBy("tools@sha256:1", parent="bot/F16.gguf")

    def said(self) -> Any:
        return result.decode(self.message.read_text())

    def prepare(self, disk: int = 0, text: Path | None = None, matrix: Given | None = None, digest: str = "") -> int:
        texts = Texts(Given(text, "texts/mine") if text else None, matrix, digest)
        return prepare(self.wish, self.parent, disk, texts, self.message)

    def tools(self, made: bytes = Q8, measured: str = MEASURED) -> None:
        """What llama.cpp's tools leave, or nothing where the work is done."""
        if not (self.wish.work / "done").exists():
            (self.wish.work / "made.gguf").write_bytes(made)
            (self.wish.work / "base.log").write_text(OF_PARENT)
            (self.wish.work / "base.kld").write_bytes(b"logits")
            (self.wish.work / "measured.log").write_text(measured)

    def judge(self, limits: gate.Limits = LIMITS) -> Any:
        judge(self.wish, limits, "gguf:Q8_0:x", "u1", self.by, self.message)
        return self.said()

    def run(self, **made: Any) -> Any:
        assert self.prepare() == result.EXIT_FOUND
        self.tools(**made)
        return self.judge()


@pytest.fixture
def claim(tmp_path: Path) -> Claim:
    return Claim(tmp_path)


def test_what_passes_is_put_in_its_place_with_its_provenance(claim: Claim) -> None:
    facts = claim.run()
    assert isinstance(facts, WeightsFacts)
    assert (facts.artifact, facts.file, facts.claim) == ("gguf:Q8_0:x", "model.gguf", "u1")
    assert facts.sha256 == hashlib.sha256(Q8).hexdigest()
    assert claim.wish.target.read_bytes() == Q8
    note = json.loads(claim.wish.provenance.read_text())
    assert (note["parent"], note["tools"], note["sha256"]) == (claim.wish.digest, "tools@sha256:1", facts.sha256)
    assert note["figures"]["mean_divergence"] == "0.004345"
    told = (facts.mean_divergence, facts.tail_divergence, facts.same_top_percent, facts.perplexity_ratio)
    assert told == tuple(note["figures"].values()), "what passed is told with its figures, not only what failed"
    assert not claim.wish.work.exists(), "nothing of the work stays"


def test_what_is_there_is_not_made_again_and_stricter_limits_judge_it_by_what_was_noted(claim: Claim) -> None:
    first = claim.run()
    assert claim.run() == first
    strict = gate.limits("Q8_0", {"mean_divergence": "0.004"})
    claim.prepare()
    refused = claim.judge(strict)
    assert (refused.reason, refused.passing) == (Reason.QUALITY_TOO_LOW, False)
    assert claim.wish.target.exists(), "another model may serve it under its own limits"


def test_what_is_worse_is_thrown_away_and_both_numbers_are_said(claim: Claim) -> None:
    bad = MEASURED.replace("0.004345", "0.204345").replace("94.765", "81.000").replace("10.17472", "13.17472")
    refused = claim.run(measured=bad.replace("0.106789", "3.106789"))
    assert refused.reason is Reason.QUALITY_TOO_LOW
    for said in ("0.204345 (at most 0.005)", "3.106789 (at most 0.125)", "81.000 % (at least 90 %)", "1.317472 times"):
        assert said in refused.message
    assert "worse than the parent `bot/F16.gguf`" in refused.message
    assert not claim.wish.target.exists()
    assert not claim.wish.work.exists()


def test_no_figures_are_no_pass(claim: Claim) -> None:
    said = claim.run(measured="error: the text is too short\n")
    assert (said.reason, said.passing) == (Reason.QUANTIZATION_FAILED, True)
    assert not claim.wish.target.exists()
    left = {"base.log", "base.kld", "made.gguf", "text.txt"}
    assert {file.name for file in claim.wish.work.iterdir()} == left, "the next pod measures again, and no more"


def test_a_parent_that_was_measured_by_half_is_measured_again(claim: Claim) -> None:
    claim.prepare()
    claim.tools()
    (claim.wish.work / "base.log").write_text("[1]10.0000,[2]")
    assert claim.judge().passing
    assert {file.name for file in claim.wish.work.iterdir()} == {"made.gguf", "text.txt"}


def test_another_type_than_was_asked_for_and_a_cut_file_are_refused(claim: Claim) -> None:
    assert claim.run(made=F16).reason is Reason.WEIGHTS_INVALID
    assert claim.run(made=Q8[:-1]).reason is Reason.WEIGHTS_INVALID
    assert not claim.wish.target.exists()


def test_a_parent_that_is_another_one_by_now_is_not_used(claim: Claim) -> None:
    claim.parent.write_bytes(Q8)
    assert claim.prepare() == result.EXIT_REFUSED
    assert claim.said().reason is Reason.DIGEST_MISMATCH


def test_too_little_room_is_said_before_anything_is_made(claim: Claim) -> None:
    assert claim.prepare(disk=2**60) == result.EXIT_REFUSED
    assert claim.said().reason is Reason.CLAIM_FULL
    assert str(2**60) in claim.said().message


def test_the_users_text(claim: Claim, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    assert claim.prepare(text=text) == result.EXIT_LATER
    assert "'texts/mine'" in claim.said().message
    text.write_text("too short")
    assert claim.prepare(text=text) == result.EXIT_LATER
    assert "9 bytes" in claim.said().message
    text.write_text("Where is my order? It is on its way. " * 400)
    assert claim.prepare(text=text) == result.EXIT_FOUND
    assert (claim.wish.work / "text.txt").read_text() == text.read_text()


def matrix_text(root: Path, text: str = "Which form do I need for a parcel to Norway? " * 300) -> tuple[Given, str]:
    file = root / "matrix.txt"
    file.write_text(text)
    return Given(file, "texts/built"), hashlib.sha256(text.encode()).hexdigest()


def test_the_text_of_a_matrix_is_laid_out_and_stands_in_the_provenance(claim: Claim, tmp_path: Path) -> None:
    given, digest = matrix_text(tmp_path)
    claim.by = MadeBy("tools@sha256:1", "texts/built")
    assert claim.prepare(matrix=given, digest=digest) == result.EXIT_FOUND
    assert (claim.wish.work / "matrix.txt").read_bytes() == given.file.read_bytes()
    claim.tools()
    assert isinstance(claim.judge(), WeightsFacts)
    note = json.loads(claim.wish.provenance.read_text())
    assert note["importanceMatrix"] == {"configMap": "texts/built", "text": digest, "chunks": 64, "context": 512}


def test_without_an_importance_matrix_the_provenance_names_none(claim: Claim) -> None:
    claim.run()
    assert "importanceMatrix" not in json.loads(claim.wish.provenance.read_text())


@pytest.mark.parametrize("found", ["another text " * 1000, None])
def test_a_matrix_is_built_on_no_other_text_than_was_planned(claim: Claim, tmp_path: Path, found: str | None) -> None:
    given, digest = matrix_text(tmp_path)
    if found is None:
        given.file.unlink()
    else:
        given.file.write_text(found)
    assert claim.prepare(matrix=given, digest=digest) == result.EXIT_PASSING
    assert (claim.said().reason, claim.said().passing) == (Reason.IMPORTANCE_MATRIX_FAILED, True)
    assert "'texts/built'" in claim.said().message


def test_a_matrix_is_not_built_on_what_the_file_is_measured_on(claim: Claim, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"Order {n * 7919} came with parcel {n * 31} on day {n}. " for n in range(400)))
    given, digest = matrix_text(tmp_path, f"Before. {text.read_text()}")
    assert claim.prepare(text=text, matrix=given, digest=digest) == result.EXIT_REFUSED
    assert claim.said().reason is Reason.IMPORTANCE_MATRIX_FAILED
    for words in ("100 % of the text", "'texts/built'", "`spec.quantization.gate`"):
        assert words in claim.said().message
    assert not (claim.wish.work / "matrix.txt").exists()
    ours, digest = matrix_text(tmp_path, gate_text())
    assert claim.prepare(matrix=ours, digest=digest) == result.EXIT_REFUSED, "this release's own text, too"


def gate_text() -> str:
    return (resources.files("smallmodel_operator.quantization") / "gate.txt").read_text()


def test_another_text_is_measured_anew(claim: Claim, tmp_path: Path) -> None:
    claim.run()
    text = tmp_path / "text.txt"
    text.write_text("Where is my order? It is on its way. " * 400)
    claim.prepare(text=text)
    assert not (claim.wish.work / "done").exists()


def test_what_was_measured_on_another_text_is_not_taken_for_this_one(claim: Claim, tmp_path: Path) -> None:
    claim.prepare()
    claim.tools()
    claim.prepare()
    assert (claim.wish.work / "base.kld").exists(), "a pod that takes over goes on with it"
    text = tmp_path / "text.txt"
    text.write_text("Where is my order? It is on its way. " * 400)
    claim.prepare(text=text)
    assert {file.name for file in claim.wish.work.iterdir()} == {"made.gguf", "text.txt"}


def test_work_under_other_limits_is_left_alone_until_its_job_cannot_run_any_more(claim: Claim) -> None:
    claim.prepare()
    now = time.time()
    for name, age in ((".work-2", 3600.0), (".work-3", 3.0 * SECONDS)):
        (claim.wish.folder / name).mkdir()
        os.utime(claim.wish.folder / name, (now - age, now - age))
    claim.prepare()
    assert {folder.name for folder in claim.wish.folder.glob(".work*")} == {".work-1", ".work-2"}


def test_a_damaged_provenance_is_made_anew(claim: Claim) -> None:
    claim.run()
    for damage in ("", "[]", '{"version": 1}', claim.wish.provenance.read_text().replace("Q8_0", "Q4_0")):
        claim.wish.provenance.write_text(damage)
        claim.prepare()
        assert not (claim.wish.work / "done").exists()
