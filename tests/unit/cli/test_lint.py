"""`slm lint`: what the API server would refuse, said before it is asked."""

import json
from pathlib import Path

import pytest
import yaml
from tests.fakes import objects
from tests.unit.cli.conftest import Write

from smallmodel_operator.cli.lint import lint


def user_model(**spec: object) -> dict[str, object]:
    body = objects.model(**spec)
    body["metadata"] = {"name": "bot", "namespace": "support"}
    return body


def test_good_manifests(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    assert lint([write(objects.profile(), user_model(), other)]) == 0
    assert capsys.readouterr().out == "2 object(s) checked, 0 problem(s); 1 of other API groups passed over\n"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"source": {"uri": "oci://registry.test/m:latest"}}, "must name a digest"),
        ({"source": {"uri": "https://weights.test/m.gguf"}}, "sha256"),
        ({"replicas": -1}, "replicas"),
        ({"replicas": 2, "scaling": {"mode": "External"}}, "spec.replicas: must be left out in mode External"),
        ({"engine": {"name": "Ollama"}}, "engine"),
        ({"engine": {"args": ["--host", "::"]}}, "spec.engine.args"),
        ({"replica": 2}, "replica"),
        (
            {"adapters": [{"name": "hr", "source": {"uri": f"oci://r/a@sha256:{'a' * 64}"}}] * 2},
            'spec.adapters.1: Duplicate value: {"name": "hr"}',
        ),
        (
            {"engine": {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}},
            'Duplicate value: {"name": "A"}',
        ),
        ({"access": {"namespaces": ["a", "b", "a"]}}, 'spec.access.namespaces.2: Duplicate value: "a"'),
    ],
)
def test_a_problem_is_named_by_its_field(
    write: Write, capsys: pytest.CaptureFixture[str], spec: dict[str, object], says: str
) -> None:
    assert lint([write(user_model(**spec))]) == 1
    out = capsys.readouterr().out
    assert "m.yaml#1 SmallModel/bot: " in out
    assert says in out


@pytest.mark.parametrize(
    ("boundary", "says"),
    [
        ({"detectors": ["Pii"], "patterns": [{"name": "case", "regex": "CASE-\\d+"}]}, ""),
        ({"patterns": [{"name": "case", "regex": "é("}]}, "pattern 'case' is none that runs in bounded time"),
        ({"patterns": [{"name": "case", "regex": "é("}]}, "missing ): é(."),
        ({"detectors": ["Names"]}, "`spec.boundary.detectors` has Names, which needs a recognizer"),
        (
            {"detectors": ["Names"], "recognizers": [{"name": "p", "service": {"name": "p"}, "detectors": ["Names"]}]},
            "",
        ),
    ],
)
def test_a_boundary_that_cannot_be_held_to(
    write: Write, capsys: pytest.CaptureFixture[str], boundary: dict[str, object], says: str
) -> None:
    route = {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ModelRoute",
        "metadata": {"name": "desk", "namespace": "support"},
        "spec": {"targets": [{"name": "small", "smallModelRef": {"name": "bot"}}], "boundary": boundary},
    }
    assert lint([write(route)]) == bool(says)
    assert says in capsys.readouterr().out


def test_another_version_of_ours_is_no_stranger(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert lint([write(user_model() | {"apiVersion": "smallmodel.dev/v1beta1"})]) == 1
    assert "apiVersion: must be smallmodel.dev/v1alpha1, the only version" in capsys.readouterr().out


def test_an_unreadable_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint(["gone.yaml"]) == 1
    assert "gone.yaml" in capsys.readouterr().err


def test_a_folder_is_searched_to_the_bottom(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write(user_model(), name="good.yml")
    write(user_model(replica=2), name="deep/er/bad.yaml")
    (tmp_path / "README.md").write_text("# no manifest")
    (tmp_path / "values.yaml").write_text("replicas: 2\n")
    assert lint([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "bad.yaml#1 SmallModel/bot: " in out
    assert "2 object(s) checked" in out


def test_a_folder_without_manifests_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lint([str(tmp_path)]) == 1
    assert "a folder without a file that ends in" in capsys.readouterr().err


GOLDEN = """
apiVersion: v1
kind: ConfigMap
metadata: {name: questions, namespace: support}
data:
  golden.jsonl: |
    {"id": "a", "prompt": "SECRET", "expect": {"exact": "x"}}
    {"id": "b", "prompt": "SECRET", "expect": {"equals": "x"}}
---
apiVersion: smallmodel.dev/v1alpha1
kind: SmallModel
metadata: {name: bot, namespace: support}
spec:
  source: {uri: "oci://r.test/m@sha256:%s", path: m.gguf}
  checks: {golden: {configMapRef: {name: questions}}}
""" % ("a" * 64)


def test_golden_prompts_beside_their_model_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(GOLDEN)
    assert lint([str(file)]) == 1
    said = capsys.readouterr().out
    assert "ConfigMap/questions: `data[golden.jsonl]`: line 2: `expect`" in said
    assert "SECRET" not in said
    file.write_text(GOLDEN.replace('"equals"', '"regex"'))
    assert lint([str(file)]) == 0
    capsys.readouterr()
    file.write_text(GOLDEN.replace('"equals"', '"regex"').replace('"id": "b"', '"id": "b", "adapter": "legal"'))
    assert lint([str(file)]) == 1
    assert "`data[golden.jsonl]`: adapters are asked that `spec.adapters` does not have: `b`" in capsys.readouterr().out


def test_of_configmaps_of_one_name_the_nearest_is_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Overlays of one application have the same names."""
    for stage, adapter in (("dev", "hr"), ("prod", "nope")):
        (tmp_path / stage).mkdir()
        prompts = json.dumps({"id": "one", "prompt": "Hi?", "adapter": adapter, "expect": {"exact": "Hi."}})
        config = {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "questions", "namespace": "support"},
            "data": {"golden.jsonl": prompts},
        }  # fmt: skip
        wish = user_model(
            checks={"golden": {"configMapRef": {"name": "questions"}}},
            adapters=[{"name": "hr", "source": {"uri": f"oci://r/a@sha256:{'a' * 64}", "path": "a.gguf"}}],
        )
        (tmp_path / stage / "m.yaml").write_text(yaml.safe_dump_all([wish, config]))
    assert lint([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "dev/m.yaml" not in out
    assert "prod/m.yaml#2 ConfigMap/questions" in out


@pytest.mark.parametrize("text", ["", "# nothing\n", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n"])
def test_nothing_of_ours_is_no_success(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(text)
    assert lint([str(file)]) == 1
    assert "Nothing of smallmodel.dev is in there" in capsys.readouterr().err


def test_a_key_that_stands_twice_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("apiVersion: smallmodel.dev/v1alpha1\nkind: ModelRoute\nspec:\n  targets: []\n  targets: []\n")
    assert lint([str(file)]) == 1
    assert "`targets` stands twice in one mapping: leave one of them out" in capsys.readouterr().err
