"""The snapshot's two questions."""

from tests.fakes import objects

from smallmodel_operator.core.facts import Snapshot


def test_children_by_kind_and_name() -> None:
    live = objects.deployment()
    snapshot = Snapshot(now=objects.NOW, children={("Deployment", "bot"): live})
    assert snapshot.child("Deployment", "bot") is live
    assert snapshot.child("Service", "bot") is None


def test_pods_by_role() -> None:
    server, job = objects.pod("a"), objects.pod("b")
    job["metadata"]["labels"] = {"smallmodel.dev/role": "inspect"}
    bare = objects.pod("c")
    del bare["metadata"]["labels"]
    snapshot = Snapshot(now=objects.NOW, pods=(server, job, bare))
    assert snapshot.pods_of("server") == (server,)
    assert snapshot.pods_of("inspect") == (job,)
