"""Which tests run in one worker of pytest-xdist, because they share something that takes long to make.

By the path and the parameters: the marker `xdist_group` is lost with the structured node ids of pytest 9.2.
"""

from xdist.scheduler import LoadScopeScheduling

OLDEST = "1.34"
ONE_AT_A_TIME = ("tests/apiserver/",)
"""There most tests share the worker's control plane only, and take long: they go to whoever is free."""
TOGETHER = ("tests/apiserver/test_install.py",)
"""Except these, which have a cluster and a registry of their own."""


def group(nodeid: str) -> str:
    """The name of what is sent to one worker as a whole; larger groups are sent first."""
    path = nodeid.partition("::")[0]
    if path.startswith(ONE_AT_A_TIME) and path not in TOGETHER:
        # One worker starts the second control plane, not each.
        return "oldest" if f"[{OLDEST}" in nodeid else nodeid
    return path


class ByWhatTheyShare(LoadScopeScheduling):
    """`--dist loadgroup` with our own groups."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)
