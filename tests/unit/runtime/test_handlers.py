"""Events of children wake the loops of the models they belong to, by label and by owner."""

import logging
from typing import Any
from unittest.mock import Mock

import kopf
import pytest
from kopf._cogs.structs.references import Resource
from kopf._core.engines.indexing import IndexingMemory, OperatorIndexers, index_resource

from smallmodel_operator.api.names import GROUP, LABEL_MODEL, LABEL_ROUTE, VERSION
from smallmodel_operator.cluster.children import Children
from smallmodel_operator.handlers import register

OWNERS = [{"kind": "SmallModel", "name": "bot", "uid": "u"}]
KEY = ("Service", "bot")
MODEL = ("support", "bot")


class Watched:
    """The handlers, with an overlay that holds one Service just written."""

    def __init__(self) -> None:
        self.children, self.loop = Children(), Mock()
        registry, observer = kopf.OperatorRegistry(), Mock()
        observer.children = self.children
        register(registry, self.loop, observer, Mock(), Mock())
        handlers = registry._watching.get_all_handlers()
        self._changed: Any
        (self._changed,) = [
            h.fn for h in handlers if h.selector and h.selector.any_name == "services" and h.id.endswith(".changed")
        ]
        meta = {"name": "bot", "uid": "s1", "resourceVersion": "5", "ownerReferences": OWNERS}
        self.children.wrote(MODEL, KEY, {"kind": "Service", "metadata": meta})

    async def event(self, kind: str, model: str | None, uid: str = "s1") -> set[Any]:
        """Tell of the Service; the models that were poked."""
        meta = {"labels": {LABEL_MODEL: model} if model else {}, "ownerReferences": OWNERS}
        await self._changed(event={"type": kind}, namespace="support", name="bot", uid=uid, meta=meta)
        return {call.args[0] for call in self.loop.pokes.poke.call_args_list}

    @property
    def believed(self) -> bool:
        return KEY in self.children.of(MODEL, "u")


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_a_change_wakes_its_model(watched: Watched) -> None:
    assert await watched.event("MODIFIED", "bot") == {MODEL}
    assert watched.believed


async def test_what_was_deleted_is_not_believed_in_because_we_wrote_it_a_moment_ago(watched: Watched) -> None:
    await watched.event("DELETED", "bot", uid="an earlier one")
    assert watched.believed
    await watched.event("DELETED", "bot")
    assert not watched.believed


@pytest.mark.parametrize("label", ["other", None])
async def test_a_changed_label_wakes_the_owner_who_looks_again(watched: Watched, label: str | None) -> None:
    poked = await watched.event("MODIFIED", label)
    assert MODEL in poked
    assert (("support", "other") in poked) == (label == "other")
    assert not watched.believed


def test_a_model_that_is_being_deleted_is_not_counted_any_more() -> None:
    """With foreground deletion it stays until its dependents are gone; its keys must not."""
    registry = kopf.OperatorRegistry()
    register(registry, Mock(), Mock(), Mock(), Mock())
    (handler,) = [h for h in registry._indexing.get_all_handlers() if h.id == "models"]
    when: Any = handler.when
    assert when(meta={"name": "bot"})
    assert not when(meta={"name": "bot", "deletionTimestamp": "2026-01-01T00:00:00Z"})


@pytest.mark.parametrize(("spec", "has"), [
    ({"compute": {"tolerations": [{"key": "gpu"}]}}, True), ({"compute": {"tolerations": []}}, False), ({}, False),
])  # fmt: skip
async def test_tolerations_of_models_that_have_their_own_are_known(spec: dict[str, Any], has: bool) -> None:
    registry = kopf.OperatorRegistry()
    register(registry, Mock(), Mock(), Mock(), Mock())
    (handler,) = [h for h in registry._indexing.get_all_handlers() if h.id == "tolerated"]
    when: Any = handler.when
    assert when(body={"spec": spec}) is has
    if has:
        index: Any = handler.fn
        found = await index(namespace="support", name="bot", body={"spec": spec})
        assert found == {("support", "bot"): [{"key": "gpu"}]}


class Indexed:
    """kopf's own indexing of one SmallModel (its inside, there is no other way in): None keeps what was there."""

    def __init__(self) -> None:
        self._registry, self._memory, self._indexers = kopf.OperatorRegistry(), IndexingMemory(), OperatorIndexers()
        register(self._registry, Mock(), Mock(), Mock(), Mock())
        self._indexers.ensure(self._registry._indexing.get_all_handlers())

    async def weights(self, status: dict[str, Any]) -> dict[Any, list[Any]]:
        """What is known of weights after the model is seen with a status."""
        meta = {"namespace": "support", "name": "bot", "uid": "u"}
        body: Any = {"metadata": meta, "spec": {}, "status": status}
        await index_resource(
            indexers=self._indexers,
            registry=self._registry,
            settings=kopf.OperatorSettings(),
            resource=Resource(GROUP, VERSION, "smallmodels", kind="SmallModel", namespaced=True),
            raw_event={"type": "MODIFIED", "object": body},
            memory=self._memory,
            logger=logging.getLogger(__name__),
            memo=kopf.Memo(),
            body=kopf.Body(body),
        )
        return {key: list(found) for key, found in self._indexers.indices["weights"].items()}


@pytest.mark.parametrize("later", [{}, {"weights": {"state": "Inspecting"}}, {"weights": {"artifact": ""}}])
async def test_weights_a_model_knows_no_more_are_not_told_to_its_peers(later: dict[str, Any]) -> None:
    indexed, known = Indexed(), {"artifact": "sha256:a", "bytes": 1}
    assert await indexed.weights({"weights": known}) == {("support", "sha256:a"): [known]}
    other = {"artifact": "sha256:b", "bytes": 2}
    assert await indexed.weights({"weights": other}) == {("support", "sha256:b"): [other]}
    assert await indexed.weights(later) == {}
    assert await indexed.weights({"weights": known}) == {("support", "sha256:a"): [known]}


class Following:
    """The handlers of SmallModels and ModelRoutes, with mocks for both loops."""

    def __init__(self) -> None:
        self.models, self.routes = Mock(), Mock()
        registry = kopf.OperatorRegistry()
        register(registry, self.models, Mock(), Mock(), self.routes)
        self._handlers = {h.id.rpartition(".")[2]: h.fn for h in registry._watching.get_all_handlers()}

    async def event(self, handler: str, **said: Any) -> tuple[set[Any], set[Any]]:
        """Models and routes that were poked."""
        await self._handlers[handler](namespace="support", name="bot", **said)
        loops = (self.models, self.routes.loop)
        first, second = ({call.args[0] for call in loop.pokes.poke.call_args_list} for loop in loops)
        return first, second


async def test_a_model_wakes_the_routes_that_lead_to_it_and_the_one_of_its_name() -> None:
    leading = {MODEL: [("support", "desk"), ("crm", "front")]}
    models, routes = await Following().event("model_changed", leading=leading)
    assert models == {MODEL}
    assert routes == {("support", "desk"), ("crm", "front"), MODEL}


async def test_a_route_wakes_itself_and_the_model_of_its_name() -> None:
    assert await Following().event("route_changed") == ({MODEL}, {MODEL})


@pytest.mark.parametrize(("label", "gone"), [("bot", False), ("other", True), (None, True)])
async def test_a_routes_service_wakes_it(label: str | None, gone: bool) -> None:
    following, route = Following(), ("support", "bot")
    meta = {
        "labels": {LABEL_ROUTE: label} if label else {},
        "ownerReferences": [{"kind": "ModelRoute", "name": "bot", "uid": "u"}],
    }
    _, routes = await following.event("service_changed", event={"type": "MODIFIED"}, uid="s1", meta=meta)
    assert route in routes
    vanished = {call.args[0] for call in following.routes.children.vanished.call_args_list}
    assert (route in vanished) == gone
