"""Which tests belong to which tier, and what a tier needs. Pure values."""

import os
import shutil
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tier:
    """One pytest run. `needs` are reasons why it cannot run here; empty means it can, and then it must.

    `nice`: the cluster tier takes longest and waits for real pods, so it goes first where processors are short; not so
    far that what computes is left with a fiftieth of one (10) and runs into its own limits.
    After `limit_seconds` it is taken to hang and ended. `each_path` says that the markers select tests in every one of
    the paths; otherwise one test in any of them is enough. `environment` is added to that of the run. `left_out` are
    files below the paths that another tier runs. `in_memory`: its temporary files may be there. `after` names a tier
    that has to have ended before this one begins.
    """

    name: str
    paths: tuple[str, ...]
    markers: str
    workers: int
    limit_seconds: float
    each_path: bool = True
    nice: int = 5
    needs: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    in_memory: bool = False
    after: str = ""


MINUTE = 60.0

BOUNDARY = ("tests/cluster/test_boundary.py", "tests/cluster/test_hostile_pod.py")
"""What must hold under a real network plugin too."""
CALICO = (
    ("CLUSTER_NETWORK", "calico"),
    ("SLM_TEST_CLUSTER", "slm-calico"),
    ("SLM_TEST_SCRATCH", "build/test-weights-calico"),
)

WEIGHTS = tuple(
    f"tests/cluster/test_{name}.py"
    for name in (
        "adapters",
        "convert",
        "copied_image",
        "download",
        "hub_folder",
        "integrity",
        "ladder",
        "registry_faults",
    )
)
"""Long ones about where weights come from; on a node of their own they take none of the others' time."""
OWN_NODE = (("SLM_TEST_CLUSTER", "slm-weights"), ("SLM_TEST_SCRATCH", "build/test-weights-own"))

SCALING = tuple(f"tests/cluster/test_{name}.py" for name in ("objective", "objective_prometheus", "pool"))
"""Long ones that wait for minutes for replicas to come and to go, too."""
SCALING_NODE = (("SLM_TEST_CLUSTER", "slm-scaling"), ("SLM_TEST_SCRATCH", "build/test-weights-scaling"))

FAULTS = ("tests/cluster/test_faults.py", "tests/cluster/test_gateway_faults.py")
"""Nearly half of the time on a node is spent waiting for what was killed to come back: two nodes wait side by side."""
FAULTS_NODE = (("SLM_TEST_CLUSTER", "slm-faults"), ("SLM_TEST_SCRATCH", "build/test-weights-faults"))

REGISTRY = ("tests/cluster/test_install_from_registry.py",)
"""Ten minutes on a node that it makes itself: nothing of it needs to wait for the tests of another one."""
REGISTRY_NODE = (("SLM_TEST_CLUSTER", "slm-registry"),)

FAST = (
    "tests/unit",
    "tests/golden",
    "tests/property",
    "tests/api",
    "tests/argocd",
    "tests/docs",
    "tests/chart",
    "tests/gateway",
    "tests/controls",
)


def _missing(*tools: str) -> tuple[str, ...]:
    return tuple(f"{tool} is not installed" for tool in tools if shutil.which(tool) is None)


def tiers(long: bool) -> tuple[Tier, ...]:
    """The tiers of `make test`, or those of `make test-long`."""
    root = () if os.geteuid() == 0 else ("it must run as root",)
    go = _missing("go")
    marker, minutes = ("long", 40) if long else ("not long", 30)
    real = (
        Tier("apiserver", ("tests/apiserver",), marker, 1 if long else 2, minutes * MINUTE, needs=go),
        Tier(
            "cluster", ("tests/cluster",), marker, 1, minutes * MINUTE, nice=0, needs=(*go, *root),
            left_out=(*WEIGHTS, *SCALING, *REGISTRY) if long else FAULTS,
        ),
    )  # fmt: skip
    if long:
        chart = (
            "tests/argocd",
            "tests/chart",
            "tests/docs",
            "tests/controls",
            "tests/unit",
            "tests/gateway",
            "tests/property",
        )
        return (
            *real,
            Tier("argocd", chart, marker, 2, 40 * MINUTE, nice=3, each_path=False, needs=(*go, *root)),
            # A node works when no test runs on it, too: three of them at a time.
            Tier(
                "weights",
                WEIGHTS,
                marker,
                1,
                40 * MINUTE,
                nice=0,
                needs=(*go, *root),
                environment=OWN_NODE,
                after="calico",
            ),
            Tier("scaling", SCALING, marker, 1, 40 * MINUTE, nice=0, needs=(*go, *root), environment=SCALING_NODE),
            Tier(
                "registry",
                REGISTRY,
                marker,
                1,
                40 * MINUTE,
                nice=0,
                needs=(*go, *root),
                environment=REGISTRY_NODE,
                after="apiserver",
            ),
            Tier("calico", BOUNDARY, marker, 1, 40 * MINUTE, nice=0, needs=(*go, *root), environment=CALICO),
        )
    return (
        # One worker more than processors: a tenth of it waits, and what waits longest comes last.
        Tier("fast", FAST, "not long and not apiserver and not cluster", 3, 25 * MINUTE, in_memory=True),
        *real,
        Tier("faults", FAULTS, marker, 1, minutes * MINUTE, nice=0, needs=(*go, *root), environment=FAULTS_NODE),
    )
