"""Make the cluster as planned: server-side apply on a difference, prune by omission, never take over a stranger."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import digest
from smallmodel_operator.cluster.children import Children, ModelKey, owned
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.diff import differences
from smallmodel_operator.core.facts import Object, ObjectKey
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Plan, key_of
from smallmodel_operator.core.pod import owner_reference

NAMES_SECONDS: Final = (2.0, 15.0)
"""How long a namespace's list of names answers for, at least and at most; bursts of new models share one list."""
NAMES_SHARE: Final = 0.02
"""The part of the time that may go into such lists: one that took a tenth of a second answers for five."""
MUST_NOT_EXIST: Final = "1"
"""As the resourceVersion of an apply: no object has it (etcd's first write is 2), so only a free name passes."""


class Applier:
    """Writes plans. One for the process; it keeps only caches."""

    def __init__(self, client: Client, children: Children, kind: str = "SmallModel") -> None:
        """`kind`: of the owners."""
        self._client = client
        self._children = children
        self._kind = kind
        self._names: dict[tuple[str, str], asyncio.Task[frozenset[str]]] = {}
        self._settled: dict[ModelKey, dict[ObjectKey, tuple[str, str, str]]] = {}
        """What was sent last for a child, and what uid and version that made."""
        self._replicas: dict[ModelKey, int] = {}

    async def apply(
        self, model: ModelKey, uid: str, plan: Plan, live: Mapping[ObjectKey, Object]
    ) -> dict[ObjectKey, Object]:
        """Apply a plan and return the children as they are afterwards.

        Policies go first, so that no pod starts unguarded. Without `plan.prune` nothing but Jobs is deleted.

        Raises:
            Refused: a name is taken by an object that is not ours, or the server refuses an object.
            NotYet: the world moved under us; decide again.
        """
        after = dict(live)
        for claim in plan.kept:
            await self._ensure(claim)
        owner = owner_reference(model[1], uid, self._kind)
        changed = [o for o in plan.objects if self._differs(model, o, live.get(key_of(o)))]
        # All names first: a model one of whose names is taken leaves nothing half-made.
        await _all(self._require_free(model, *key_of(o), uid) for o in changed if key_of(o) not in live)
        first = [o for o in changed if o["kind"] == "NetworkPolicy"]
        for group in (first, [o for o in changed if o["kind"] != "NetworkPolicy"]):
            for obj in await _all(self._write(model, owner, o, live.get(key_of(o))) for o in group):
                after[key_of(obj)] = obj
        for key in await self._prune(model, plan, live):
            after.pop(key, None)
        return after

    def replicas(self, model: ModelKey) -> int | None:
        """Those that were last written into its Deployment; None: none by this process."""
        return self._replicas.get(model)

    async def _prune(self, model: ModelKey, plan: Plan, live: Mapping[ObjectKey, Object]) -> list[ObjectKey]:
        """Delete what is not planned. Jobs always: they serve nobody, and each try of a held model leaves one."""
        planned = {key_of(o) for o in plan.objects}
        surplus = [
            key
            for key, obj in live.items()
            if key not in planned and (plan.prune or key[0] == "Job") and not obj["metadata"].get("deletionTimestamp")
        ]
        await _all(self._delete(model, key, live[key]) for key in surplus)
        return surplus

    def _differs(self, model: ModelKey, wanted: Object, live: Object | None) -> bool:
        if live is None:
            return True
        if not differences(wanted, live):
            return False
        # What the server keeps differently from what we send would otherwise be sent for ever.
        meta = live["metadata"]
        state = (digest(wanted), meta["uid"], meta["resourceVersion"])
        return self._settled.get(model, {}).get(key_of(wanted)) != state

    async def _write(self, model: ModelKey, owner: Mapping[str, Any], wanted: Object, live: Object | None) -> Object:
        kind, name = key_of(wanted)
        metadata = {**wanted["metadata"], "ownerReferences": [owner]}
        if live is None:
            # Somebody's object of that name that says the same as ours would not be in conflict, and become ours.
            metadata["resourceVersion"] = MUST_NOT_EXIST
        else:
            metadata["uid"] = live["metadata"]["uid"]  # nor one that took its place
            if kind == "Deployment":
                # Decided on exactly this state: another writer of replicas in between means deciding again.
                metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
        try:
            answer = await self._client.apply({**wanted, "metadata": metadata}, force=live is not None)
        except ApiError as error:
            if live is None and error.status == 409:
                await self._explain_taken(model, kind, name, owner["uid"])
            raise self._explain(error, kind, name) from error
        if not owned(answer, owner["uid"]):
            raise _taken(kind, name, self._kind)
        self._children.wrote(model, (kind, name), answer)
        meta = answer["metadata"]
        self._settled.setdefault(model, {})[kind, name] = (digest(wanted), meta["uid"], meta["resourceVersion"])
        if kind == "Deployment":
            self._replicas[model] = int(answer.get("spec", {}).get("replicas", 1))
        return answer

    @staticmethod
    def _explain(error: ApiError, kind: str, name: str) -> Exception:
        if error.status == 409:
            return NotYet(Reason.PROGRESSING, f"{kind} {name!r} changed meanwhile; deciding again.", after_seconds=0.2)
        if error.status == 422:
            return Refused(Reason.INVALID_SPEC, f"The API server refuses {kind} {name!r}: {error.message}")
        if error.status == 403 and "exceeded quota" in error.message:
            return Refused(
                Reason.QUOTA_EXCEEDED,
                f"{kind} {name!r}: {error.message}. Ask for a larger ResourceQuota or delete what is not needed.",
                recheck_seconds=60,
            )
        if error.status == 403 and "being terminated" in error.message:
            return NotYet(Reason.PROGRESSING, f"{error.message}.", after_seconds=30)
        if error.status == 403:
            return Refused(
                Reason.FORBIDDEN,
                f"The API server does not let the operator write {kind} {name!r}: {error.message}. "
                "An admission policy or missing RBAC is the cause; ask its owner.",
                recheck_seconds=60,
            )
        return error

    async def _require_free(self, model: ModelKey, kind: str, name: str, uid: str) -> None:
        if name in await self._taken_names(kind, model[0]):
            await self._explain_taken(model, kind, name, uid)  # the list may be old

    async def _explain_taken(self, model: ModelKey, kind: str, name: str, uid: str) -> None:
        """Say what it is that has the name; nothing when it is free (again).

        A child that lost the labels we watch by is out of sight: it is looked at, and decided again with it in view.
        """
        live = await self._client.get(kind, name, model[0])
        if live is None:
            return
        if live["metadata"].get("deletionTimestamp") or not owned(live, uid):
            raise _refused(live["metadata"], kind, name, self._kind)
        self._children.wrote(model, (kind, name), live)
        raise NotYet(Reason.PROGRESSING, f"{kind} {name!r} lost its labels; they are restored.", after_seconds=0.1)

    async def _taken_names(self, kind: str, namespace: str) -> frozenset[str]:
        key = (kind, namespace)
        task = self._names.get(key)
        if task is None:
            task = self._names[key] = asyncio.ensure_future(self._list_names(kind, namespace))
        return await asyncio.shield(task)

    async def _list_names(self, kind: str, namespace: str) -> frozenset[str]:
        started, keep = time.monotonic(), 0.0
        try:
            found = await self._client.names(kind, namespace)
            keep = min(max(NAMES_SECONDS[0], (time.monotonic() - started) / NAMES_SHARE), NAMES_SECONDS[1])
        finally:
            asyncio.get_running_loop().call_later(keep, self._names.pop, (kind, namespace), None)
        return found

    async def _ensure(self, claim: Object) -> None:
        kind, name = key_of(claim)
        if await self._client.get(kind, name, claim["metadata"]["namespace"]) is not None:
            return
        try:
            await self._client.create(claim)
        except ApiError as error:
            if error.status != 409:
                raise self._explain(error, kind, name) from error

    async def _delete(self, model: ModelKey, key: ObjectKey, obj: Object) -> None:
        await self._client.delete(key[0], key[1], model[0], obj["metadata"]["uid"])
        self._children.deleted(model, key, obj)
        self._settled.get(model, {}).pop(key, None)

    def forget(self, model: ModelKey) -> None:
        """The model is gone."""
        self._settled.pop(model, None)
        self._replicas.pop(model, None)


def _refused(stranger: Mapping[str, Any], kind: str, name: str, owner: str) -> Refused | NotYet:
    """Why a name cannot be used, by the metadata of the object that has it."""
    owners = [r for r in stranger.get("ownerReferences", ()) if r.get("kind") == owner]
    if stranger.get("deletionTimestamp") or owners:
        return NotYet(Reason.PROGRESSING, f"An earlier {kind} {name!r} is still being removed.", after_seconds=2)
    return _taken(kind, name, owner)


def _taken(kind: str, name: str, owner: str) -> Refused:
    return Refused(
        Reason.NAME_TAKEN,
        f"{kind} {name!r} exists in this namespace and does not belong to this {owner}; it is left untouched. "
        f"Rename the {owner} or remove that {kind}.",
        recheck_seconds=15,
    )


async def _all(coroutines: Iterable[Any]) -> list[Any]:
    """Run all, let all finish, then raise the first error: nothing is left half-sent."""
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    errors = [r for r in results if isinstance(r, BaseException)]
    if errors:
        raise next((e for e in errors if isinstance(e, Refused)), errors[0])
    return list(results)
