"""Examples against the rest of the repository: digests, chart values, paths and schema."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hack.install import example
from tests.chart.conftest import CHART, ROOT
from typer.testing import CliRunner

from smallmodel_operator.cli.app import app

EXAMPLES = ROOT / "examples"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def test_the_first_example_names_the_committed_weights() -> None:
    assert example.named_digest() == example.weights().digest, "the weights changed: run `make example-digest`"


def test_the_weights_pack_to_the_same_digest_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another folder, at another time, by another name: the digest is of the content."""
    from hack.images import build

    first = example.weights()
    monkeypatch.setattr(build, "cache", lambda: tmp_path)
    second = example.weights()
    assert second.archive != first.archive
    assert second.digest == first.digest


def test_the_manifest_for_another_registry() -> None:
    text = example.manifest("harbor.corp:8443/ai")
    (model,) = [o for o in yaml.safe_load_all(text) if o["kind"] == "SmallModel"]
    assert model["spec"]["source"]["uri"] == f"oci://harbor.corp:8443/ai/support-weights@{example.named_digest()}"
    assert "registry.internal" not in text


@pytest.mark.parametrize("file", sorted(str(p.relative_to(EXAMPLES)) for p in EXAMPLES.glob("*/model*.yaml")))
def test_slm_lint_finds_nothing(file: str) -> None:
    done = CliRunner().invoke(app, ["lint", str(EXAMPLES / file)])
    assert done.exit_code == 0, done.output
    assert ", 0 problem(s)" in done.stdout
    assert not done.stdout.startswith("0 object(s)")


def test_argo_cd_applications_fit_the_chart() -> None:
    apps = {
        o["metadata"]["name"]: o["spec"]
        for o in yaml.safe_load_all((EXAMPLES / "gitops/argocd/applications.yaml").read_text())
    }
    operator = apps["smallmodel-operator"]
    assert (ROOT / operator["source"]["path"]).resolve() == CHART.resolve()
    jsonschema.validate(operator["source"]["helm"]["valuesObject"], SCHEMA)
    assert operator["destination"]["namespace"] == "smallmodel-system"
    assert (ROOT / apps["models"]["source"]["path"] / "kustomization.yaml").is_file()


def test_flux_objects_fit_the_chart() -> None:
    objects = {o["kind"]: o for o in yaml.safe_load_all((EXAMPLES / "gitops/flux/release.yaml").read_text())}
    release = objects["HelmRelease"]["spec"]
    assert (ROOT / release["chart"]["spec"]["chart"]).resolve() == CHART.resolve()
    jsonschema.validate(release["values"], SCHEMA)
    sources = {release["chart"]["spec"]["sourceRef"]["name"], objects["Kustomization"]["spec"]["sourceRef"]["name"]}
    assert sources == {objects["GitRepository"]["metadata"]["name"]}
    assert (ROOT / objects["Kustomization"]["spec"]["path"] / "kustomization.yaml").is_file()
