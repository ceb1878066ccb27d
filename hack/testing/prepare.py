"""Everything the real tiers need before they start, with progress: packages, programs, images. Fast when cached.

`--long`: what the long tests need besides, an S3 store and a browser.
"""

import os
import sys

from hack.browser import root
from hack.cluster import packages
from hack.cluster.binaries import BuildFailed, ensure
from hack.images.build import build_image

PROGRAMS = ("kube", "etcd", "containerd", "coredns", "helm", "kwok", "registry", "kube-1.34")
FOR_LONG = ("versitygw",)
IMAGES = ("pause", "llamacpp", "toolbox", "clients", "operator", "gateway")


def main() -> int:
    if os.geteuid() != 0:
        print("not root: the cluster tier will be skipped", file=sys.stderr)
        return 0
    try:
        packages.ensure({**packages.NEEDED, **packages.FOR_TESTS})
        for name in PROGRAMS:
            ensure(name)
        for name in IMAGES:
            build_image(name)
        if "--long" in sys.argv[1:]:
            for name in FOR_LONG:
                ensure(name)
            root.ensure()
    except (packages.Missing, BuildFailed, root.NotHere) as error:
        print(f"test: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
