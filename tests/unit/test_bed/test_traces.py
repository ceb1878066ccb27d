"""What a node asks of the host for its pods."""

from pathlib import Path

import pytest
from hack.cluster import traces


def test_pods_of_a_node_get_most_of_the_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "CGROUPS", tmp_path)
    traces.take_share("a")  # no such hierarchy, as under cgroup v2
    shares = tmp_path / "cpu" / "slm-a" / "cpu.shares"
    shares.parent.mkdir(parents=True)
    shares.write_text("1024")
    traces.take_share("a")
    assert int(shares.read_text()) == traces.NODE_SHARES > 1024
