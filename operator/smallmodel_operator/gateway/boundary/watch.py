"""The one ClusterBoundary, watched: what it stops, and what the operator's canary says there of the network."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from smallmodel_operator.api.names import ANNOTATION_PROVE, API_VERSION, BOUNDARY
from smallmodel_operator.boundary.said import Said
from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.informer import Informer, Key
from smallmodel_operator.cluster.kinds import KINDS
from smallmodel_operator.core.facts import Object
from smallmodel_operator.gateway.view import doubtful

RELIST_SECONDS: Final = 3.0
"""How often the one object is listed again: a watch can lie by silence, and a stop has 5 s."""
ABSENT_SECONDS: Final = 2.0
"""How often a cluster that does not know the kind is asked again: a boundary made there acts within 5 s, too."""
KEY: Final[Key] = ("", BOUNDARY)
FORBIDDEN, UNKNOWN = 403, 404
ASKED_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class Declared:
    """The object. `said`: what its status says of the network; None: nothing. `asked`: for a proof, by this word."""

    boundary: Boundary
    said: Said | None = None
    asked: str = ""

    @classmethod
    def of(cls, body: Object) -> "Declared":
        """Read it; a status that cannot be read says nothing, and keeps no stop from being seen.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is no ClusterBoundary.
        """
        asked = (body["metadata"].get("annotations") or {}).get(ANNOTATION_PROVE, "")
        return cls(Boundary.of(body), Said.of(body), str(asked)[:ASKED_CHARACTERS])


class BoundaryWatch(Informer[Declared]):
    """`now` is always what is known; `known`: it was listed, or remembered from before a restart. `changed` is called
    when something else is stopped.

    One that is deleted stops nothing; a list that fails changes nothing; a list that suddenly lacks it is asked for a
    second time before it counts.
    """

    def __init__(self, client: Client, changed: Callable[[], None], remembered: Boundary | None, relist: float) -> None:
        super().__init__(
            client,
            KINDS["ClusterBoundary"],
            Declared.of,
            self._differs,
            selector={"fieldSelector": f"metadata.name={BOUNDARY}"},
            doubt=doubtful,
            known=[KEY] if remembered is not None and remembered.uid else (),
            relist=relist,
        )
        self._stops_else = changed
        self._remembered = remembered is not None
        self._absent = False
        """The cluster does not know the kind."""
        if remembered is not None and remembered.uid:
            self.objects[KEY] = Declared(remembered)  # so that it counts until a list says otherwise

    @property
    def known(self) -> bool:
        return self.synced or self._remembered

    @property
    def now(self) -> Boundary:
        found = self.objects.get(KEY)
        return found.boundary if found is not None else Boundary()

    @property
    def said(self) -> Said | None:
        """What its status says of the network; only once it was listed (`synced`)."""
        found = self.objects.get(KEY)
        return found.said if found is not None else None

    @property
    def asked(self) -> str:
        """The word a proof of the seal was asked for with; empty: nobody did."""
        found = self.objects.get(KEY)
        return found.asked if found is not None else ""

    def _differs(self, _: Key, before: Declared | None, now: Declared | None) -> None:
        """A new word on the network changes no configuration."""
        if before is None or now is None or before.boundary != now.boundary:
            self._stops_else()

    async def _fetch(self) -> dict[Key, Object]:
        try:
            found = await super()._fetch()
        except ApiError as error:
            if not await self._unheard_of(error):
                raise
            self._absent = True
            return {}
        self._absent = False
        return found

    async def _follow(self, until: float) -> None:
        if not self._absent:
            return await super()._follow(until)
        self._well()
        return await asyncio.sleep(ABSENT_SECONDS)

    async def _unheard_of(self, error: ApiError) -> bool:
        """Is it the kind that is missing? Who has no right to an unknown kind is told just that: forbidden."""
        if error.status == UNKNOWN:
            return True
        if error.status != FORBIDDEN:
            return False
        answer = await self._client.request("GET", f"/apis/{API_VERSION}")
        return all(resource.get("name") != self.kind.plural for resource in answer.get("resources") or ())
