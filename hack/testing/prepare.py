"""Everything the real tiers need before they start, with progress: packages, programs, images. Fast when cached.

`--long`: what the long tests need besides, a browser, a real network plugin and an S3 store.
"""

import os
import sys

from hack.browser import root
from hack.cluster import calico, packages
from hack.cluster.binaries import BuildFailed, ensure
from hack.images.build import build_image

LONG_PROGRAMS = ("calico", "versitygw")
"""Minutes to build, and only for the long tests."""
PROGRAMS = ("kube", "etcd", "containerd", "coredns", "helm", "kwok", "registry", "kube-1.34")
IMAGES = ("pause", "llamacpp", "toolbox", "clients", "operator", "gateway")


def main() -> int:
    if os.geteuid() != 0:
        print("not root: the cluster tier will be skipped", file=sys.stderr)
        return 0
    try:
        long = "--long" in sys.argv[1:]
        packages.ensure({**packages.NEEDED, **packages.FOR_TESTS, **(calico.NEEDED if long else {})})
        for name in (*PROGRAMS, *(LONG_PROGRAMS if long else ())):
            ensure(name)
        for name in IMAGES:
            build_image(name)
        if long:
            root.ensure()
    except (packages.Missing, BuildFailed, root.NotHere) as error:
        print(f"test: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
