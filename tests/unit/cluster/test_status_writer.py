"""Status and nothing else; what we wrote counts until the watch shows it."""

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.cluster.client import ApiError
from smallmodel_operator.cluster.status_writer import StatusWriter


async def test_only_the_status_is_written(api: FakeApiServer) -> None:
    api.put(objects.model())
    await StatusWriter(api.client()).write("support", "bot", objects.UID, {"replicas": 1})
    (sent,) = api.writes
    assert sent.path.endswith("/smallmodels/bot/status")
    assert set(sent.body) == {"apiVersion", "kind", "metadata", "status"}
    live = api.get("SmallModel", "bot")
    assert live is not None
    assert live["status"] == {"replicas": 1}
    assert live["spec"] == objects.model()["spec"]


async def test_what_we_wrote_counts_until_the_watch_catches_up(api: FakeApiServer) -> None:
    seen = api.put(objects.model())
    writer = StatusWriter(api.client())
    assert writer.latest(seen) == {}
    await writer.write("support", "bot", objects.UID, {"replicas": 1})
    assert writer.latest(seen) == {"replicas": 1}
    newer = {**seen, "metadata": {**seen["metadata"], "resourceVersion": "99999"}, "status": {"replicas": 2}}
    assert writer.latest(newer) == {"replicas": 2}
    writer.forget(objects.UID)
    assert writer.latest(seen) == {}


async def test_a_field_we_no_longer_report_disappears(api: FakeApiServer) -> None:
    api.put(objects.model())
    writer = StatusWriter(api.client())
    await writer.write("support", "bot", objects.UID, {"replicas": 1, "endpoint": {"url": "x"}})
    await writer.write("support", "bot", objects.UID, {"replicas": 1})
    live = api.get("SmallModel", "bot")
    assert live is not None
    assert live["status"] == {"replicas": 1}


async def test_a_model_that_is_gone_or_made_anew_is_left_alone(api: FakeApiServer) -> None:
    writer = StatusWriter(api.client())
    await writer.write("support", "bot", "old-uid", {"replicas": 1})
    assert api.get("SmallModel", "bot") is None
    api.put(objects.model())
    await writer.write("support", "bot", "old-uid", {"replicas": 1})
    assert "status" not in (api.get("SmallModel", "bot") or {})


async def test_other_errors_are_the_loops_to_handle(api: FakeApiServer) -> None:
    api.refuse("PATCH", "status", 500, "InternalError", "etcd is away")
    with pytest.raises(ApiError, match="etcd is away"):
        await StatusWriter(api.client()).write("support", "bot", objects.UID, {})
