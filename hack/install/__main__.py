"""`make install`, `make uninstall`, `make images`: see docs/how-to/install.md."""

import argparse
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from hack.images.analyzer import context as analyzer_context
from hack.images.gateway import context as gateway_context
from hack.install import preflight, release, testbed, wheels
from hack.install.images import GATEWAY, LLAMACPP, OPERATOR, VERSION, Builder, find_engine, images
from hack.install.registry import known_digest
from hack.install.release import Placed
from hack.install.steps import ROOT, Access, InstallError, capture, fail, say, step, stream

CLUSTERS = ("current", "kind", "testbed")


def main() -> int:
    options = parse(sys.argv[1:])
    try:
        if options.cluster not in CLUSTERS:
            raise InstallError(f"CLUSTER={options.cluster} is unknown; known: {', '.join(CLUSTERS)}.")
        if options.command == "uninstall":
            say(release.uninstall(access_to(options.cluster)))
        elif options.command == "images":
            push_images(options)
        else:
            install(options)
    except InstallError as error:
        return fail(error)
    except KeyboardInterrupt:
        return fail(InstallError("interrupted; run the same command again, it continues safely"))
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.install", description=__doc__)
    parser.add_argument("command", choices=["install", "uninstall", "images"])
    parser.add_argument("--cluster", default=os.environ.get("CLUSTER") or "current", help="current, kind or testbed")
    parser.add_argument("--registry", default=os.environ.get("REGISTRY", ""), help="host[:port][/folder] to push to")
    parser.add_argument("--values", action="append", default=[], help="a values file for the chart, repeatable")
    parser.add_argument("--engine", default=os.environ.get("ENGINE", ""), help="docker, podman or buildah")
    parser.add_argument("--base-python", default=os.environ.get("BASE_PYTHON", ""), help="base of operator and gateway")
    parser.add_argument("--base-debian", default=os.environ.get("BASE_DEBIAN", ""), help="base of the engine's image")
    parser.add_argument(
        "--python-version", default=os.environ.get("PYTHON_VERSION") or "3.11", help="Python in the base"
    )
    parser.add_argument("--rebuild", action="store_true", default=os.environ.get("REBUILD") == "1", help="build anyway")
    wanted = os.environ.get("ANALYZER") == "1"
    parser.add_argument("--analyzer", action="store_true", default=wanted, help="the recognizer's image, too")
    taking = os.environ.get("TAKE_OWNERSHIP") == "1"
    parser.add_argument("--take-ownership", action="store_true", default=taking, help="adopt objects Helm did not make")
    parser.add_argument("--insecure-registry", action="store_true", default=os.environ.get("INSECURE_REGISTRY") == "1")
    options = parser.parse_args(arguments)
    options.values += os.environ.get("VALUES", "").split()
    return options


def access_to(cluster: str) -> Access:
    """The programs that reach the cluster. Raises InstallError naming the one that is missing."""
    if cluster == "testbed":
        return testbed.access()
    kubectl = shutil.which("kubectl")
    if not kubectl:
        raise InstallError("kubectl is not on the PATH. Install it (it comes with every Kubernetes release).")
    helm = shutil.which("helm") or testbed.helm()
    env = {}
    if cluster == "kind":
        env["KUBECONFIG"] = kind_kubeconfig()
    return Access(kubectl_program=kubectl, helm_program=helm, env=env)


def kind_name() -> str:
    return os.environ.get("KIND_CLUSTER", "slm")


def kind_kubeconfig() -> str:
    """A kubeconfig file of the kind cluster, in our cache: the user's own context is left as it is."""
    if kind_name() not in capture(["kind", "get", "clusters"]).split():
        raise InstallError(
            f"There is no kind cluster {kind_name()}: make cluster-up CLUSTER=kind (or set KIND_CLUSTER)."
        )
    cache = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")))
    folder = Path(os.environ.get("SLM_CACHE", str(cache / "smallmodel"))) / "clusters" / f"kind-{kind_name()}"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "kubeconfig"
    file.write_text(capture(["kind", "get", "kubeconfig", "--name", kind_name()]))
    file.chmod(0o600)
    return str(file)


def install(options: argparse.Namespace) -> None:
    step(1, 4, "looking: programs, cluster, registry")
    registry = preflight.check_registry_name(options.registry) if options.cluster == "current" else ""
    for file in options.values:
        if not Path(file).is_file():
            raise InstallError(f"VALUES names {file}, which is not a file.")
    access = access_to(options.cluster)
    say(f"      Kubernetes {preflight.check_cluster(access)}")
    if registry:
        preflight.check_registry(registry, insecure=options.insecure_registry)
    placed = testbed.place() if options.cluster == "testbed" else build_and_place(options, registry)
    step(4, 4, "installing the chart")
    extra = [part for file in [*testbed.values(options.cluster), *options.values] for part in ("--values", str(file))]
    if options.take_ownership:
        extra.append("--take-ownership")
    say("      " + release.install(access, placed, extra))
    say("\nNext: kubectl apply -f examples/01-first-model/model.yaml (see its README for weights in your registry)")


def push_images(options: argparse.Namespace) -> None:
    """Build and push without a cluster; prints what the chart is told of them."""
    if options.cluster != "current":
        raise InstallError("make images pushes to REGISTRY; leave CLUSTER out.")
    registry = preflight.check_registry_name(options.registry)
    preflight.check_registry(registry, insecure=options.insecure_registry)
    say("\nFor helm: " + " ".join(release.values(build_and_place(options, registry))))


def build_and_place(options: argparse.Namespace, registry: str) -> Placed:
    """Builds our images and pushes them by digest, or loads them into kind."""
    engine = find_engine(options.engine)
    if engine is None:
        raise InstallError(
            "No docker (with a running daemon), podman or buildah is here. On Debian: apt-get install buildah."
        )
    step(2, 4, f"building images with {engine.name}")
    machine = options.python_version, platform.machine()
    contexts = wheels.fetch(*machine), gateway_context.make(*machine)
    analyzer = analyzer_context.make(*machine) if options.analyzer else None
    wanted = images(*contexts, options.base_python, options.base_debian, analyzer)
    prefix = registry or "registry.internal/slm"
    references = {image.name: f"{prefix}/{image.name}:{image.tag(platform.machine())}" for image in wanted}
    known = {} if options.rebuild or not registry else already_there(references, insecure=options.insecure_registry)
    for image in wanted:
        if image.name not in known:
            engine.build(image, references[image.name])
    if options.cluster == "kind":
        step(3, 4, f"loading images into kind cluster {kind_name()}")
        return load_into_kind(engine, prefix, references)
    step(3, 4, f"pushing to {registry}")
    for name, reference in references.items():
        if name not in known:
            # The plain version too, for manifests written by hand; what we install names the digest.
            plain = f"{registry}/{name}:{VERSION}"
            capture([engine.name, "tag", reference, plain])
            engine.push(plain, insecure=options.insecure_registry)
            known[name] = engine.push(reference, insecure=options.insecure_registry)
        say(f"      {registry}/{name}@{known[name]}")
    engine_image, gateway = (f"{registry}/{name}@{known[name]}" for name in (LLAMACPP, GATEWAY))
    return Placed(registry, known[OPERATOR], engine_image, gateway)


def already_there(references: dict[str, str], *, insecure: bool) -> dict[str, str]:
    """Digests of images made from the same inputs before: an unchanged engine must not restart a model."""
    found = {name: known_digest(reference, insecure=insecure) for name, reference in references.items()}
    for name, digest in found.items():
        if digest:
            say(f"      {references[name]} is in the registry already (REBUILD=1 builds it again)")
    return {name: digest for name, digest in found.items() if digest}


def load_into_kind(engine: Builder, prefix: str, references: dict[str, str]) -> Placed:
    """kind keeps no digests, so the tag carries the image's own id: a new build is a new tag."""
    tags = {}
    for name, reference in references.items():
        identity = capture([engine.name, "inspect", "--type=image", "-f", engine.id_format, reference]).strip()
        tags[name] = f"{VERSION}-{identity.removeprefix('sha256:')[:12]}"
        tagged = f"{prefix}/{name}:{tags[name]}"
        capture([engine.name, "tag", reference, tagged])
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "image.tar"
            engine.archive(tagged, archive)
            stream(["kind", "load", "image-archive", str(archive), "--name", kind_name()], what=f"load of {tagged}")
    engine_image, gateway = (f"{prefix}/{name}:{tags[name]}" for name in (LLAMACPP, GATEWAY))
    return Placed(prefix, tags[OPERATOR], engine_image, gateway)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
