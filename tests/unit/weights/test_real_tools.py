"""The steps of a quantization Job as the Job has them, with llama.cpp's real tools and a trained model."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hack.images.tools import commands
from hack.install.example import WEIGHTS

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.make_weights import Made, judge, prepare
from smallmodel_operator.cli.survey_weights import Place, survey
from smallmodel_operator.core.facts import Survey, WeightsFacts
from smallmodel_operator.quantization import gate
from smallmodel_operator.weights import make, result
from smallmodel_operator.weights.recipe import QuantizedSource, Recipe
from smallmodel_operator.weights.types import WeightsRequest

pytestmark = pytest.mark.long
KINDS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
LOOSE = {"mean_divergence": "1", "tail_divergence": "9", "same_top_percent": "50", "perplexity_ratio": "2"}
"""For a model of two million parameters, whose weights have nothing to spare."""
PODS = 3
"""As many as a Job starts; llama-perplexity breaks down now and then."""
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

    def makes(self, kind: str, wished: dict[str, str]) -> result.Said | None:
        """What the Job says: its pods go through all steps, and one that broke down is followed by the next."""
        for _ in range(PODS):
            said = self._pod(kind, wished)
            if said is not None and not (isinstance(said, result.Failure) and said.passing):
                return said
        return said

    def _pod(self, kind: str, wished: dict[str, str]) -> result.Said | None:
        seen = self.survey(kind)
        limits = gate.limits(kind, wished)
        recipe = Recipe(
            type=kind, parent=seen.parent, digest=seen.digest, memory=2**30, disk=2**20,
            context=seen.facts.context_length, threads=2, image="tools", text="", limits=gate.as_text(limits),
        )  # fmt: skip
        where = QuantizedSource(recipe, SOURCE)
        wish = Made(self.root / "weights" / where.folder, kind, seen.digest, where.work)
        assert prepare(wish, self.parent, recipe.disk, None, "", self.message) == result.EXIT_FOUND
        for step in steps(make.build(REQUEST, where, 0, "u2")):
            done = self.shell(step["command"][2], **self.environment(step))
            if done.returncode:
                print(f"{step['name']} of {kind} ended with {done.returncode}:", done.stdout[-2000:])
                assert done.returncode == result.EXIT_PASSING
                return None
        judge(wish, limits, where.artifact, "u2", "tools", self.message)
        return result.decode(self.message.read_text())

    def environment(self, step: dict[str, Any]) -> dict[str, str]:
        """A step's own, with this machine's folders in place of the pod's."""
        found = {e["name"]: e["value"] for e in step["env"]}
        for name, value in found.items():
            found[name] = value.replace("/weights/", f"{self.root}/weights/").replace("/source/", f"{self.source}/")
        return {k: v for k, v in found.items() if k != "PATH"}


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
        (note,) = [
            said for path in (node.root / "weights").glob("*/model.gguf.json")
            if (said := json.loads(path.read_text()))["type"] == kind
        ]  # fmt: skip
        figures = gate.from_text(note["figures"])
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
