"""The steps of a conversion Job: a folder of safetensors in, a GGUF file in its place out.

The one in the middle is the Job's own shell script, run with a stand-in for `convert_hf_to_gguf.py` that writes a small
GGUF file, or fails as llama.cpp's does.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import safetensors_folder
from tests.fakes.gguf_file import TENSORS, build
from tests.unit.cli.test_inspect_weights import PICKLE

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.convert_weights import accept, prepare
from smallmodel_operator.cli.make_weights import Made
from smallmodel_operator.cli.survey_weights import Place, survey
from smallmodel_operator.core.engine import SAFETENSORS
from smallmodel_operator.core.facts import Survey, WeightsFacts
from smallmodel_operator.weights import convert, result
from smallmodel_operator.weights.recipe import Conversion, ConvertedSource
from smallmodel_operator.weights.types import WeightsRequest

REQUEST = WeightsRequest("bot", "team", "pvc://models/bot", "", "", "operator:1", memory_declared=False)
BF16 = build(
    {"general.file_type": 32}, [(name, shape, "BF16" if len(shape) > 1 else "F32") for name, shape, _ in TENSORS]
)
CONVERTER = f"""
import json, os, sys
from pathlib import Path
words = sys.argv[1:]
out, shown = Path(words[words.index("--outfile") + 1]), Path(words[-1])
files = {{p.name: p.read_bytes().hex()[:8] for p in sorted(shown.iterdir())}}
Path("../seen.json").write_text(json.dumps({{"words": words, "files": files, "offline": os.environ["HF_HUB_OFFLINE"]}}))
failure = os.environ.get("FAILS", "")
if failure:
    print(failure, file=sys.stderr)
    sys.exit(1)
out.write_bytes(bytes.fromhex("{BF16.hex()}")[: int(os.environ.get("CUT", "0")) or None])
"""


class Node:
    """A claim with the folder in it, the claim for what is made, and a Job's steps run one after the other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = safetensors_folder.write(root / "source" / "bot")
        (self.folder / "tokenizer.json").write_text("{}")
        self.message = root / "termination-log"
        self.bin = root / "bin"
        self.bin.mkdir()
        (self.bin / convert.SCRIPT).write_text(CONVERTER)
        (self.bin / "python3").symlink_to(sys.executable)
        self.where: ConvertedSource | None = None

    def said(self) -> Any:
        return result.decode(self.message.read_text())

    def survey(self, *kinds: str, claim: str = "u1") -> Any:
        place = Place(str(self.root / "source"), "bot", "pvc:models/bot", claim, kinds)
        survey(place, message_file=self.message)
        return self.said()

    def found(self) -> tuple[Made, ConvertedSource]:
        """What the survey leads to; the same as long as the Job lives, whatever becomes of the folder."""
        if self.where is None:
            seen = self.survey()
            assert isinstance(seen, Survey), seen
            kind = seen.facts.quantization
            wish = Conversion(kind, seen.parent, seen.digest, 2**31, 2**20, 2, "tools:1")
            self.where = ConvertedSource(wish, {"name": "weights"}, "bot")
        where = self.where
        target = self.root / "weights" / where.folder
        return Made(target, where.conversion.type, where.conversion.digest, where.work), where

    def prepare(self, disk: int = 0) -> int:
        wish, _ = self.found()
        return prepare(wish, self.folder, disk, self.message)

    def convert(self, **environment: str) -> subprocess.CompletedProcess[str]:
        wish, where = self.found()
        step = convert.build(REQUEST, where, 0, "u2")["spec"]["template"]["spec"]["initContainers"][1]
        given = {pair["name"]: pair["value"] for pair in step["env"]}
        path = f"{self.bin}:/usr/bin:/bin"
        return subprocess.run(
            ["/bin/sh", "-ec", step["command"][2]], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**given, "WORK": str(wish.work), "HOME": str(self.root), "PATH": path, **environment},
        )  # fmt: skip

    def accept(self, *kinds: str) -> Any:
        wish, where = self.found()
        accept(wish, where.artifact, "u2", "tools:1", kinds or None, self.message)
        return self.said()

    def run(self, *kinds: str, **environment: str) -> Any:
        assert self.prepare() == result.EXIT_FOUND, self.message.read_text()
        done = self.convert(**environment)
        assert done.returncode == 0, done.stdout
        return self.accept(*kinds)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def seen(node: Node) -> dict[str, Any]:
    wish, _ = node.found()
    return dict(json.loads((wish.folder / "seen.json").read_text()))


def test_a_survey_tells_of_safetensors_what_they_are_and_nothing_of_types(node: Node) -> None:
    said = node.survey("Q8_0")
    assert isinstance(said, Survey)
    assert (said.facts.format, said.facts.quantization, said.facts.claim) == (SAFETENSORS, "BF16", "u1")
    assert (said.variants, said.makes, said.parent) == ((), (), "bot")
    assert len(said.digest) == 64
    assert node.survey(claim="").digest == "image:pvc:models/bot", "an image cannot change under its name"


def test_what_a_converter_reads_is_in_the_digest_and_nothing_else(node: Node) -> None:
    first = node.survey().digest
    (node.folder / "pytorch_model.bin").write_bytes(PICKLE)
    (node.folder / "modeling_bot.py").write_text("import os")
    assert node.survey().digest == first
    (node.folder / "tokenizer.json").write_text("{ }")
    assert node.survey().digest != first


def test_a_folder_becomes_a_file_with_its_provenance(node: Node) -> None:
    facts = node.run()
    assert isinstance(facts, WeightsFacts)
    wish, where = node.found()
    assert (facts.artifact, facts.file, facts.claim) == (where.artifact, "model.gguf", "u2")
    assert wish.target.read_bytes() == BF16
    note = json.loads(wish.provenance.read_text())
    assert (note["source"], note["tools"], note["type"]) == (wish.digest, "tools:1", "BF16")
    assert note["sha256"] == facts.sha256
    assert set(note["files"]) == {"config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors"}
    assert note["converter"][0].split()[1].endswith(convert.SCRIPT)
    assert any(line.startswith("gguf ") for line in note["converter"])
    assert not wish.work.exists(), "nothing of the work stays"


def test_the_converter_is_shown_what_it_needs_and_no_code(node: Node) -> None:
    (node.folder / "pytorch_model.bin").write_bytes(PICKLE)
    (node.folder / "tokenization_bot.py").write_text("import os")
    (node.folder / "README.md").write_text("Licence: mine")
    node.run()
    told = seen(node)
    assert set(told["files"]) == {
        "config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors", "README.md",
    }  # fmt: skip
    assert told["words"][:2] == ["--outtype", "bf16"]
    assert "--remote" not in told["words"]
    assert told["offline"] == "1"


def test_a_folder_that_was_downloaded_into_the_claim_is_noted_so_that_it_stays(node: Node) -> None:
    wish, _ = node.found()
    home = wish.folder.parent / f"hf-{'a' * 64}"
    shutil.copytree(node.folder, home / "safetensors")
    node.folder = home / "safetensors"
    node.run()
    assert json.loads(wish.provenance.read_text())["from"] == home.name
    assert (wish.folder / ".lock").exists(), "what is worked in is not evicted"


def test_types_are_told_as_they_would_come_out(node: Node) -> None:
    said = node.run("Q8_0", "Q4_K_M")
    assert isinstance(said, Survey)
    assert [(v.type, v.file) for v in said.variants] == [("BF16", "model.gguf")]
    assert [v.type for v in said.makes] == ["Q8_0", "Q4_K_M"]
    assert (said.parent, said.digest) == ("model.gguf", said.facts.sha256)


def test_what_is_there_is_not_made_again(node: Node) -> None:
    first = node.run()
    wish, _ = node.found()
    (wish.folder / "seen.json").unlink()
    assert node.run() == first
    assert not (wish.folder / "seen.json").exists()


def test_a_folder_that_is_another_one_by_now_is_not_used(node: Node) -> None:
    node.found()
    (node.folder / "model.safetensors").write_bytes(safetensors_folder.file()[:-1] + b"\1")
    assert node.prepare() == result.EXIT_REFUSED
    assert node.said().reason is Reason.DIGEST_MISMATCH


def test_too_little_room_is_said_before_anything_is_made(node: Node) -> None:
    assert node.prepare(disk=2**60) == result.EXIT_REFUSED
    assert node.said().reason is Reason.CLAIM_FULL


def test_an_image_without_a_converter_is_named(node: Node) -> None:
    node.prepare()
    (node.bin / convert.SCRIPT).unlink()
    done = node.convert()
    assert done.returncode == result.EXIT_REFUSED
    assert "The image has no convert_hf_to_gguf.py" in done.stdout
    assert "spec.quantizer.image" in done.stdout


def test_a_disk_that_fills_up_passes_and_is_tried_again_from_the_beginning(node: Node) -> None:
    said = node.run(FAILS="OSError: [Errno 28] No space left on device")
    assert (said.reason, said.passing) == (Reason.CLAIM_FULL, True)
    assert isinstance(node.run(), WeightsFacts)


def test_an_architecture_the_converter_does_not_know(node: Node) -> None:
    said = node.run(FAILS="ERROR:hf-to-gguf:Model LlamaForCausalLM is not supported")
    assert (said.reason, said.passing) == (Reason.ARCHITECTURE_UNKNOWN, False)
    wish, _ = node.found()
    assert not wish.work.exists()
    assert not wish.target.exists()


def test_a_result_that_is_cut_never_serves(node: Node) -> None:
    said = node.run(CUT=str(len(BF16) - 1))
    assert said.reason is Reason.WEIGHTS_INVALID
    assert "`model.gguf`: The file is cut short" in said.message
    assert not node.found()[0].target.exists()


def test_a_result_of_another_type_or_shape_never_serves(node: Node) -> None:
    node.found()
    assert node.where is not None
    config = json.loads((node.folder / "config.json").read_text())
    (node.folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 9}))
    node.where = None
    assert "says 9, 64 and 4" in node.run().message
    (node.folder / "config.json").write_text(json.dumps(config))
    node.where = None
    _, where = node.found()
    node.where = replace(where, conversion=replace(where.conversion, type="F16"))
    assert "The converter made BF16 in place of F16" in node.run().message
    assert not node.found()[0].target.exists()


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        (lambda f: (f / "config.json").unlink(), Reason.WEIGHTS_NOT_FOUND, "`bot` has safetensors files and no config"),
        (lambda f: (f / "tokenizer.json").unlink(), Reason.WEIGHTS_NOT_FOUND, "`bot` has no tokenizer"),
        (
            lambda f: (f / "model.safetensors").write_bytes(safetensors_folder.file()[:-1]),
            Reason.WEIGHTS_INVALID, "`model.safetensors`: ",
        ),
        (
            lambda f: (f / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["x.Y", null]}}'),
            Reason.WEIGHTS_INVALID, "`tokenizer_config.json` asks for Python code",
        ),
        (
            lambda f: safetensors_folder.write(f, auto_map={"AutoModel": "x.Y"}),
            Reason.WEIGHTS_INVALID, "`config.json` asks for Python code",
        ),
        (
            lambda f: safetensors_folder.write(f, quantization_config={"quant_method": "awq", "bits": 4}),
            Reason.WEIGHTS_INVALID, "stored as AWQ",
        ),
        (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin").write_bytes(PICKLE),
            Reason.UNSAFE_FORMAT, "`bot/pytorch_model.bin`",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_is_refused_with_the_file_named(
    node: Node, change: Any, reason: Reason, says: str
) -> None:
    change(node.folder)
    said = node.survey("Q8_0")
    assert isinstance(said, result.Failure)
    assert (said.reason, said.passing) == (reason, False)
    assert says in said.message


def test_gguf_files_beside_safetensors_are_taken_as_before(node: Node) -> None:
    (node.folder / "bot.gguf").write_bytes(BF16)
    said = node.survey("Q8_0")
    assert [v.file for v in said.variants] == ["bot/bot.gguf"]
