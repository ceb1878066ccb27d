"""Where the cluster is, and what is said where nothing says so."""

from pathlib import Path

import pytest

from smallmodel_operator.cluster.access import NoCluster, configuration


@pytest.mark.parametrize("text", [None, "", "just text", "[1]", "a: [", "clusters: 5", "kind: Config\nclusters: []"])
async def test_what_is_no_kubeconfig_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    file = tmp_path / "config"
    if text is not None:
        file.write_text(text)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(NoCluster, match="no cluster to talk to") as caught:
        await configuration()
    assert str(file) in str(caught.value)
    assert "point KUBECONFIG at a file kubectl can use" in str(caught.value)
