"""Everything the real tiers need before they start, with progress: packages, programs, images. Fast when cached.

`--long`: what the long tests need besides: a browser, a real network plugin, an S3 store, and a trained model in
safetensors with the image that converts it.
"""

import os
import subprocess
import sys
from pathlib import Path

from hack.browser import root
from hack.cluster import calico, packages
from hack.cluster.binaries import BuildFailed, ensure
from hack.images.build import build_image
from hack.safetensors_model import made
from hack.testing.tiers import FAST

LONG_PROGRAMS = ("calico", "versitygw")
"""Minutes to build, and only for the long tests."""
PROGRAMS = ("kube", "etcd", "containerd", "coredns", "helm", "kwok", "registry", "kube-1.34")
LONG_IMAGES = ("converter",)
IMAGES = ("pause", "llamacpp", "toolbox", "clients", "operator", "gateway")


def compiled(test: Path) -> bool:
    """Has pytest compiled this file, with its asserts rewritten, since it was written?"""
    made = list((test.parent / "__pycache__").glob(f"{test.stem}.*-pytest-*.pyc"))
    return any(one.stat().st_mtime >= test.stat().st_mtime for one in made)


def compile_tests() -> None:
    """Once, beside the linters: in a fresh copy every worker of every tier would do it, all at the same time.

    That takes half a minute of a processor, three quarters of what collecting them does. What is wrong with a test is
    told by the run itself.
    """
    if all(compiled(test) for folder in FAST for test in Path(folder).rglob("test_*.py")):
        return
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *FAST]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def main() -> int:
    compile_tests()
    if os.geteuid() != 0:
        print("not root: the cluster tier will be skipped", file=sys.stderr)
        return 0
    try:
        long = "--long" in sys.argv[1:]
        packages.ensure({**packages.NEEDED, **packages.FOR_TESTS, **(calico.NEEDED if long else {})})
        for name in (*PROGRAMS, *(LONG_PROGRAMS if long else ())):
            ensure(name)
        for name in (*IMAGES, *(LONG_IMAGES if long else ())):
            build_image(name)
        if long:
            root.ensure()
            made.folder()
    except (packages.Missing, BuildFailed, root.NotHere) as error:
        print(f"test: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
