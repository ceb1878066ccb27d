"""Example 02 as its text says: the commands of its README, with a kubectl that notes what it was asked."""

import os
import subprocess
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
README = REPOSITORY / "examples/02-weights-on-a-claim/README.md"
IMAGE = "registry.internal/mine/smallmodel-operator@sha256:" + "a" * 64
KUBECTL = f"""#!/bin/sh
echo "$*" >> "$NOTES/asked"
case "$*" in
  *jsonpath*) printf '%s' '{IMAGE}' ;;
  *"apply -f -"*) cat > "$NOTES/applied.yaml" ;;
esac
"""


def test_the_filler_runs_an_image_the_cluster_has_and_the_file_goes_where_the_model_looks(tmp_path: Path) -> None:
    block = README.read_text().split("```sh\n")[1].split("```")[0]
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    weights = REPOSITORY / "examples/01-first-model/weights/larkfield-support.gguf"
    assert str(weights.relative_to(REPOSITORY)) in README.read_text()
    assert weights.exists()
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "NOTES": str(tmp_path), "WEIGHTS": str(weights)}
    subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=REPOSITORY, env=env, check=True)

    pod = yaml.safe_load((tmp_path / "applied.yaml").read_text())
    (container,) = pod["spec"]["containers"]
    assert container["image"] == IMAGE
    model = list(yaml.safe_load_all((README.parent / "model.yaml").read_text()))[-1]
    claim, _, path = model["spec"]["source"]["uri"].removeprefix("pvc://").partition("/")
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim
    folder = container["volumeMounts"][0]["mountPath"]
    assert f"cp {weights} filler:{folder}/{path}" in (tmp_path / "asked").read_text()
