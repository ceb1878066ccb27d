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
    assert ("no such file" in str(caught.value)) == (text is None)


async def test_without_the_variable_the_file_of_kubectl_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NoCluster) as caught:
        await configuration()
    assert "no cluster to talk to: ~/.kube/config: no such file; point KUBECONFIG" in str(caught.value)
    assert not caplog.records, "said once"
