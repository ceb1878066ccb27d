"""The steps of a quantization Job as the Job has them, with llama.cpp's real tools and a trained model."""

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from hack.demo_model.corpus import Generator
from hack.images.tools import commands
from hack.install.example import WEIGHTS

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.quantization_rules import WITH_MATRIX
from smallmodel_operator.api.v1alpha1.quantization import QuantizationType
from smallmodel_operator.cli.make_weights import Made, MadeBy, judge, prepare
from smallmodel_operator.cli.survey_weights import Place, survey
from smallmodel_operator.cli.texts import Given, Texts
from smallmodel_operator.core.facts import Survey, WeightsFacts
from smallmodel_operator.quantization import gate
from smallmodel_operator.weights import make, result
from smallmodel_operator.weights.gguf import Header, read_header
from smallmodel_operator.weights.recipe import ImportanceMatrix, QuantizedSource, Recipe
from smallmodel_operator.weights.types import WeightsRequest

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # the first one makes a root for llama.cpp's tools
KINDS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
LOOSE = {"mean_divergence": "1", "tail_divergence": "9", "same_top_percent": "50", "perplexity_ratio": "2"}
"""For a model of two million parameters, whose weights have nothing to spare."""
PODS = 3
"""As many as a Job starts; llama-perplexity breaks down now and then."""
THREADS = 1
"""A second one waits for the first by spinning: where a node's tests need the processors too, ten times as long."""
SOURCE = {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}
REQUEST = WeightsRequest("bot", "team", "pvc://models/bot", "", "", "operator:1", memory_declared=False)


class Node:
    """A claim with the parent in it, the other claim, and a Job's steps run one after the other."""

    def __init__(self, root: Path) -> None:
        self.root, self.tools = root, commands(root / "bin")
        self.source = root / "source"
        self.source.mkdir()
        self.parent = self.source / "bot-F16.gguf"
        done = self.shell(f"llama-quantize --allow-requantize {WEIGHTS} {self.parent} F16")
        assert done.returncode == 0, done.stdout
        self.message = root / "termination-log"

    def shell(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.tools}:{os.environ['PATH']}"
        return subprocess.run(
            ["/bin/sh", "-ec", script], env={**environment, "PATH": path}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def survey(self, *accept: str) -> Survey:
        assert survey(Place(str(self.source), "", "pvc:models/bot", "u1", accept), message_file=self.message) == 0
        said = result.decode(self.message.read_text())
        assert isinstance(said, Survey)
        return said

    def makes(self, kind: str, wished: dict[str, str], matrix_text: str = "") -> result.Said | None:
        """What the Job says: its pods go through all steps, and one that broke down is followed by the next."""
        for _ in range(PODS):
            said = self._pod(kind, wished, matrix_text)
            if said is not None and not (isinstance(said, result.Failure) and said.passing):
                return said
        return said

    def _pod(self, kind: str, wished: dict[str, str], matrix_text: str) -> result.Said | None:
        seen = self.survey(kind)
        limits = gate.limits(kind, wished)
        matrix = ImportanceMatrix("texts/built", hashlib.sha256(matrix_text.encode()).hexdigest())
        built_on = Given(self.root / "matrix.txt", matrix.text)
        built_on.file.write_text(matrix_text)
        recipe = Recipe(
            type=kind, parent=seen.parent, digest=seen.digest, memory=2**30, disk=2**20,
            context=seen.facts.context_length, threads=THREADS, image="tools", text="", limits=gate.as_text(limits),
            matrix=matrix if matrix_text else None,
        )  # fmt: skip
        where = QuantizedSource(recipe, SOURCE)
        wish = Made(self.root / "weights" / where.folder, kind, seen.digest, where.work)
        texts = Texts(None, built_on, matrix.digest) if matrix_text else Texts()
        assert prepare(wish, self.parent, recipe.disk, texts, self.message) == result.EXIT_FOUND
        for step in steps(make.build(REQUEST, where, 0, "u2")):
            done = self.shell(step["command"][2], **self.environment(step))
            if done.returncode:
                print(f"{step['name']} of {kind} ended with {done.returncode}:", done.stdout[-2000:])
                assert done.returncode == result.EXIT_PASSING
                return None
        by = MadeBy("tools", matrix.text if matrix_text else "")
        judge(wish, limits, where.artifact, "u2", by, self.message)
        return result.decode(self.message.read_text())

    def environment(self, step: dict[str, Any]) -> dict[str, str]:
        """A step's own, with this machine's folders in place of the pod's."""
        found = {e["name"]: e["value"] for e in step["env"]}
        for name, value in found.items():
            found[name] = value.replace("/weights/", f"{self.root}/weights/").replace("/source/", f"{self.source}/")
        return {k: v for k, v in found.items() if k != "PATH"}

    def note(self, kind: str, *, matrix: bool = False) -> dict[str, Any]:
        """The provenance of a type that was made."""
        notes = [json.loads(path.read_text()) for path in (self.root / "weights").glob("*/model.gguf.json")]
        (found,) = (n for n in notes if n["type"] == kind and ("importanceMatrix" in n) == matrix)
        return dict(found)

    def file(self, note: dict[str, Any]) -> Path:
        (found,) = (
            path.with_suffix("") for path in (self.root / "weights").glob("*/model.gguf.json")
            if json.loads(path.read_text()) == note
        )  # fmt: skip
        return found


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    return [c for c in job["spec"]["template"]["spec"]["initContainers"] if c["name"] in make.TOOLS]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return Node(tmp_path_factory.mktemp("node"))


@pytest.mark.parametrize("kind", KINDS)
def test_each_type_is_made_measured_and_as_large_as_was_predicted(node: Node, kind: str) -> None:
    (predicted,) = node.survey(kind).makes
    said = node.makes(kind, LOOSE)
    assert isinstance(said, WeightsFacts), said
    assert (said.quantization, said.file) == (kind, "model.gguf")
    assert (said.tensor_bytes, said.repacked_bytes) == (predicted.tensor_bytes, predicted.repacked_bytes)
    assert said.chat_template == node.survey(kind).facts.chat_template
    again = node.makes(kind, LOOSE)
    assert again == said, "what is there is not made again"


def test_the_lower_the_type_the_more_it_diverges_and_the_defaults_refuse_so_small_a_model(node: Node) -> None:
    found = {}
    for kind in ("Q8_0", "Q4_K_M"):
        said = node.makes(kind, LOOSE)
        assert isinstance(said, WeightsFacts), said
        figures = gate.from_text(node.note(kind)["figures"])
        assert figures is not None
        found[kind] = figures
        print(kind, figures.text)
    assert found["Q8_0"].mean_divergence < found["Q4_K_M"].mean_divergence
    assert found["Q8_0"].same_top_percent > found["Q4_K_M"].same_top_percent
    refused = node.makes("Q4_K_M", {})
    assert isinstance(refused, result.Failure)
    assert (refused.reason, refused.passing) == (Reason.QUALITY_TOO_LOW, False)


def test_a_parent_the_tools_cannot_read_fails_the_step_and_not_the_judge(node: Node) -> None:
    recipe = Recipe("Q8_0", "gone.gguf", "d", 2**30, 2**20, 1024, 2, "tools", "", LOOSE)
    (quantize, _) = steps(make.build(REQUEST, QuantizedSource(recipe, SOURCE), 0, "u2"))
    environment = node.environment(quantize)
    Path(environment["WORK"]).mkdir(parents=True)
    done = subprocess.run(
        ["/bin/sh", "-ec", quantize["command"][2]], env={**environment, "PATH": f"{node.tools}:{os.environ['PATH']}"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == result.EXIT_REFUSED
    assert "gone.gguf" in done.stdout + done.stderr
    assert replace(recipe, type="Q6_K").name != recipe.name


@cache
def questions() -> str:
    """Something the demo's model is asked, again and again: some 65 KiB."""
    return "\n".join([Generator(7).draw().question] * 600)


@pytest.mark.parametrize("kind", get_args(QuantizationType))
def test_a_matrix_changes_those_types_that_are_said_to_take_one(node: Node, tmp_path: Path, kind: str) -> None:
    """`kind not in WITH_MATRIX`: the step would be waited for in vain."""
    matrix = node.root / "questions.gguf"
    if not matrix.exists():
        (node.root / "questions.txt").write_text(questions())
        done = node.shell(f"llama-imatrix -m {node.parent} -f {node.root}/questions.txt -o {matrix} -c 512 --chunks 4")
        assert done.returncode == 0, done.stdout
    data = {}
    for name, option in (("with", f"--imatrix {matrix}"), ("without", "")):
        done = node.shell(f"llama-quantize {option} {node.parent} {tmp_path}/{name}.gguf {kind} 2")
        assert done.returncode == 0, done.stdout
        whole = (tmp_path / f"{name}.gguf").read_bytes()
        data[name] = whole[described(tmp_path / f"{name}.gguf").data_offset :]
    assert (data["with"] != data["without"]) == (kind in WITH_MATRIX)


def described(file: Path) -> Header:
    with file.open("rb") as stream:
        return read_header(stream, file.stat().st_size)


def test_a_type_is_made_with_a_matrix_and_says_on_what_it_was_built(node: Node) -> None:
    said = node.makes("Q4_K_M", LOOSE, questions())
    assert isinstance(said, WeightsFacts), said
    plain = node.makes("Q4_K_M", LOOSE)
    assert isinstance(plain, WeightsFacts), plain
    assert (said.tensor_bytes, said.sha256 != plain.sha256) == (plain.tensor_bytes, True)
    note = node.note("Q4_K_M", matrix=True)
    assert note["importanceMatrix"]["text"] == hashlib.sha256(questions().encode()).hexdigest()
    values = described(node.file(note)).values
    assert (values["quantize.imatrix.entries_count"], values["quantize.imatrix.dataset"]) != (0, "")
    assert "quantize.imatrix.entries_count" not in described(node.file(node.note("Q4_K_M"))).values
    assert node.makes("Q4_K_M", LOOSE, questions()) == said, "what is there is not made again"


def matrix_step(work: Path, **changes: str) -> tuple[str, dict[str, str]]:
    """The script, and its environment with this folder to work in."""
    matrix = ImportanceMatrix("texts/built", "d" * 64)
    recipe = Recipe("Q4_K_M", "gone.gguf", "d", 2**30, 2**20, 1024, 2, "tools", "", LOOSE, matrix)
    (build, _, _) = steps(make.build(REQUEST, QuantizedSource(recipe, SOURCE), 0, "u2"))
    return build["command"][2], {e["name"]: e["value"] for e in build["env"]} | {"WORK": str(work), **changes}


def test_too_few_tokens_for_a_matrix_are_told(node: Node, tmp_path: Path) -> None:
    (tmp_path / "matrix.txt").write_text("Where is my order? " * 100)
    script, environment = matrix_step(tmp_path, PARENT=str(node.parent))
    done = node.shell(script, **{k: v for k, v in environment.items() if k != "PATH"})
    assert done.returncode == result.EXIT_REFUSED, done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert "It needs a text of at least 1024 tokens. Take more" in last
    assert len(last) < 300, "the condition keeps no more of it"


@pytest.mark.parametrize(
    ("ends", "code", "says"),
    [
        ("exit 7", result.EXIT_REFUSED, "llama-imatrix ended with 7 and no matrix"),
        ("exit 0", result.EXIT_REFUSED, "llama-imatrix ended with 0 and no matrix"),
        ("kill -9 $$", result.EXIT_PASSING, "llama-imatrix was killed"),
        ("exec sleep 30", result.EXIT_REFUSED, "llama-imatrix took more than 1 s"),
        ("", result.EXIT_REFUSED, "The image has no llama-imatrix"),
        ("echo matrix >matrix.part.gguf", 0, "[1]12.5"),
    ],
)
def test_how_llama_imatrix_may_end(tmp_path: Path, ends: str, code: int, says: str) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("timeout", "mv", "tail", "sleep"):
        (tools / name).symlink_to(str(shutil.which(name)))
    if ends:
        tool = tools / "llama-imatrix"
        tool.write_text(f"#!/bin/sh\necho '[1]12.5'\n{ends}\n")
        tool.chmod(0o755)
    script, environment = matrix_step(tmp_path, PATH=str(tools), SECONDS_AT_MOST="1")
    done = subprocess.run(["/bin/sh", "-ec", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith(says)
    assert not last.endswith("."), "the condition puts the full stop"
    assert len(last) < 300
    assert (tmp_path / "matrix.gguf").exists() == (code == 0)


def test_a_run_that_lost_its_last_lines_is_run_again_at_once(tmp_path: Path) -> None:
    tool = tmp_path / "llama-perplexity"
    tool.write_text(
        "#!/bin/sh\necho run >>runs\n: >base.part\nset -- $(wc -l <runs)\n"
        'case $1 in 1|3) echo "[24]9.8";; 2) echo "Final estimate: PPL = 9.8";; 4) echo "Same top p: 94.7";; esac\n'
    )
    tool.chmod(0o755)
    recipe = Recipe("Q8_0", "gone.gguf", "d", 2**30, 2**20, 1024, 2, "tools", "", LOOSE)
    (_, measure) = steps(make.build(REQUEST, QuantizedSource(recipe, SOURCE), 0, "u2"))
    environment = {e["name"]: e["value"] for e in measure["env"]} | {"WORK": str(tmp_path)}
    environment["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["/bin/sh", "-ec", measure["command"][2]], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs").read_text().count("run") == 4
    assert "Final estimate" in (tmp_path / "base.log").read_text()
    assert "Same top p" in (tmp_path / "measured.log").read_text()


@pytest.mark.parametrize(
    ("ends", "code"), [("exit 1", result.EXIT_REFUSED), ("kill -9 $$", result.EXIT_PASSING), ("exit 0", 0)]
)
def test_a_tool_that_was_killed_is_run_again_and_one_that_refuses_is_not(tmp_path: Path, ends: str, code: int) -> None:
    tool = tmp_path / "llama-perplexity"
    tool.write_text(f'#!/bin/sh\necho "what it says last"\n: >base.part\n{ends}\n')
    tool.chmod(0o755)
    recipe = Recipe("Q8_0", "gone.gguf", "d", 2**30, 2**20, 1024, 2, "tools", "", LOOSE)
    (_, measure) = steps(make.build(REQUEST, QuantizedSource(recipe, SOURCE), 0, "u2"))
    environment = {e["name"]: e["value"] for e in measure["env"]} | {"WORK": str(tmp_path)}
    environment["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-ec", measure["command"][2]], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert ("what it says last" in done.stdout) == (code != 0)
    assert (tmp_path / "measured.log").exists() == (code == 0)
