"""The first example: its weights as an image with the same digest on every machine, and its manifest for a registry."""

import argparse
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hack.install import preflight
from hack.install.images import explain_push
from hack.install.steps import ROOT, Access, InstallError, capture, fail, say

if TYPE_CHECKING:
    from hack.cluster.node import Node
    from hack.images.oci import Image

FOLDER = ROOT / "examples" / "01-first-model"
MANIFEST = FOLDER / "model.yaml"
WEIGHTS = FOLDER / "weights" / "larkfield-support.gguf"
REGISTRY = "registry.internal/slm"
"""What the committed manifest says; replaced by the user's own when it is applied."""
NAME = "support-weights"
URI = re.compile(rf"oci://{re.escape(REGISTRY)}/{NAME}@(sha256:[0-9a-f]{{64}})")


def weights() -> "Image":
    """The image with the one GGUF file. Packed in well under a second."""
    from hack.images.build import pack_weights

    return pack_weights("support", {WEIGHTS.name: WEIGHTS})


def named_digest() -> str:
    """The digest the committed manifest names."""
    (digest,) = URI.findall(MANIFEST.read_text())
    return str(digest)


def refresh() -> str:
    """Writes the digest of the committed weights into the committed manifest; for after a retraining."""
    digest = weights().digest
    MANIFEST.write_text(URI.sub(f"oci://{REGISTRY}/{NAME}@{digest}", MANIFEST.read_text()))
    return digest


def manifest(registry: str = REGISTRY) -> str:
    """The manifest with the weights in another registry."""
    return MANIFEST.read_text().replace(f"oci://{REGISTRY}/", f"oci://{registry}/")


def load(node: "Node") -> str:
    """Imports the weights into a test bed's node under the name the manifest says; returns that reference."""
    image = weights()
    node.load_image(image.archive)
    reference = f"{REGISTRY}/{NAME}@{image.digest}"
    node.ctr("images", "tag", "--force", image.name, reference)
    return reference


def push(registry: str, *, insecure: bool) -> str:
    """Pushes the weights byte for byte, so that the digest stays; returns the reference."""
    if not shutil.which("skopeo"):
        raise InstallError("skopeo is needed to push the weights as they are. On Debian: apt-get install skopeo.")
    image = weights()
    target = f"{registry}/{NAME}"
    tls = ["--dest-tls-verify=false"] if insecure else []
    source = f"oci-archive:{image.archive}"
    command = ["skopeo", "copy", "-q", "--preserve-digests", *tls, source, f"docker://{target}:1"]
    explain_push(target, lambda: capture(command))
    return f"{target}@{image.digest}"


def apply(access: Access, registry: str) -> None:
    """Applies the example as a user would, server-side."""
    access.kubectl("apply", "--server-side", "-f", "-", stdin=manifest(registry))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.install.example", description=__doc__)
    parser.add_argument("command", choices=["apply", "digest"])
    parser.add_argument("--cluster", default="current", help="current or testbed")
    options = parser.parse_args()
    try:
        if options.command == "digest":
            say(refresh())
            return 0
        bring(options.cluster)
    except InstallError as error:
        return fail(error)
    return 0


def bring(cluster: str) -> None:
    from hack.install.__main__ import access_to

    if cluster == "kind":
        raise InstallError(
            "kind has no registry to mount weights from. Run one beside it and use CLUSTER=current REGISTRY=…, "
            "or take examples/02-weights-on-a-claim."
        )
    access = access_to(cluster)
    if cluster == "testbed":
        from hack.install.testbed import node

        say(f"weights loaded: {load(node())}")
        apply(access, REGISTRY)
    else:
        registry = preflight.check_registry_name(os.environ.get("REGISTRY", ""))
        insecure = os.environ.get("INSECURE_REGISTRY") == "1"
        preflight.check_registry(registry, insecure=insecure)
        say(f"weights pushed: {push(registry, insecure=insecure)}")
        apply(access, registry)
    say("applied; kubectl -n support wait --for=condition=Ready smallmodel/support --timeout=5m")


if __name__ == "__main__":
    os.chdir(Path(ROOT))
    sys.exit(main())
