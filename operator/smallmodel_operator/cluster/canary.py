"""One run of the canary: write its policies, start its pods, read what they say, remove them."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp

from smallmodel_operator.api.names import LABEL_CANARY, LABEL_CANARY_ROLE, OPERATOR
from smallmodel_operator.boundary import canary
from smallmodel_operator.boundary.canary import Report
from smallmodel_operator.boundary.canary_build import CanaryRequest, Role, job, policies
from smallmodel_operator.boundary.nodes import CORDONED, Nodes, Toleration, nodes, united
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.core.facts import Object

START_SECONDS: Final = 150.0
"""For a pod to run, its image pulled."""
REPORT_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 1.0
NODES_A_PAGE: Final = 200

logger = logging.getLogger(__name__)


class CannotProbe(Exception):  # noqa: N818 - a verdict
    """A run could not be made; the message says why and what helps."""

    def __init__(self, message: str, node: str = "") -> None:
        super().__init__(message)
        self.node = node


@dataclass(frozen=True, slots=True)
class Where:
    """What a run needs to know of the installation: its namespace, the operator's image, the cluster's DNS domain."""

    namespace: str
    image: str
    domain: str


class CanaryPods:
    """Makes runs, one after the other. `tolerations`: of all models as they are now, for the pod in their place."""

    def __init__(
        self,
        client: Client,
        where: Where,
        tolerations: Callable[[], Sequence[Toleration]] = tuple,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._client = client
        self._where = where
        self._tolerations = tolerations
        self._look = look_seconds

    async def run(
        self, prefer: Sequence[tuple[str, tuple[str, ...]]] = (), avoid: Sequence[str] = ()
    ) -> tuple[Report, str]:
        """One run: what its pods report, and the node of the model's pod. `prefer`, `avoid`: see CanaryRequest.

        Raises:
            CannotProbe: it could not be made.
            NotLeader: this process may no longer write.
        """
        try:
            request = replace(await self._request(), prefer=prefer, avoid=avoid)
            await self._remove()  # what an operator that died has left
            try:
                return await self._made(request)
            finally:
                await self._remove()
        except ApiError as error:
            raise CannotProbe(_explained(error, self._where.namespace)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CannotProbe(f"the API server does not answer ({error!r}); it is tried again.") from error

    async def operator(self) -> Object | None:
        """The operator's Deployment."""
        return await self._client.get("Deployment", OPERATOR, self._where.namespace)

    async def nodes(self) -> Nodes | None:
        """Which nodes there are, and which the model's pod cannot enter; None: that cannot be known now."""
        slim: list[Object] = []
        try:
            own = await self.operator()
            async for page in self._client.pages("Node", NODES_A_PAGE):
                slim += ({"metadata": {"name": n["metadata"]["name"]}, "spec": n.get("spec")} for n in page)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            logger.warning("which nodes there are cannot be read, so those that are gone still count: %s", error)
            return None
        template = own["spec"]["template"]["spec"] if own else {}
        return nodes(slim, united(template.get("tolerations") or (), self._tolerations(), (CORDONED,)))

    async def _request(self) -> CanaryRequest:
        own = await self.operator()
        if own is None:
            raise CannotProbe(
                f"there is no Deployment {OPERATOR} in namespace {self._where.namespace}, to which the canary's pods "
                "belong. Run the operator from its chart, or switch the canary off (SLM_CANARY_SECONDS=0)."
            )
        template, run = own["spec"]["template"]["spec"], secrets.token_hex(4)
        where = self._where
        return CanaryRequest(where.namespace, where.image, run, own, template, tolerations=self._tolerations())

    async def _made(self, request: CanaryRequest) -> tuple[Report, str]:
        for policy in policies(request.namespace, request.owner):
            await self._client.apply(policy, force=True)
        words = ["--run", request.run, "--domain", self._where.domain]
        for role in (Role.MODEL, Role.STRANGER):
            await self._client.create(job(role, request, ["canary", "listen", *words]))
        model = await self._started(Role.MODEL, request.run)
        stranger = await self._started(Role.STRANGER, request.run)
        node = _node(model)
        words += ["--model", str(model["status"]["podIP"]), "--node", str(model["status"]["hostIP"])]
        for address in stranger["status"].get("podIPs") or [{"ip": stranger["status"]["podIP"]}]:
            words += ["--stranger", str(address["ip"])]
        await self._client.create(job(Role.CALLER, request, ["canary", "lead", *words]))
        try:
            return canary.decode(await self._said(request.run)), node
        except ValueError as error:
            raise CannotProbe(f"the canary's leading pod left no report: {error}", node) from error
        except CannotProbe as problem:
            raise CannotProbe(str(problem), problem.node or node) from problem

    async def _started(self, role: Role, run: str) -> Object:
        """The pod of a role once it runs and has an address."""
        end, pod = time.monotonic() + START_SECONDS, None
        while time.monotonic() < end:
            pod = await self._pod(role, run)
            status = (pod or {}).get("status") or {}
            if pod is not None and status.get("phase") == "Running" and status.get("podIP"):
                return pod
            if status.get("phase") in ("Failed", "Succeeded"):
                break
            await asyncio.sleep(self._look)
        raise CannotProbe(_not_started(role, pod), _node(pod))

    async def _said(self, run: str) -> str:
        end = time.monotonic() + START_SECONDS + REPORT_SECONDS
        pod: Object | None = None
        while time.monotonic() < end:
            pod = await self._pod(Role.CALLER, run)
            if (ended := _ended(pod)) is not None:
                return str(ended.get("message", ""))
            await asyncio.sleep(self._look)
        raise CannotProbe(_not_started(Role.CALLER, pod), _node(pod))

    async def _pod(self, role: Role, run: str) -> Object | None:
        selector = f"{LABEL_CANARY}={run},{LABEL_CANARY_ROLE}={role}"
        found = await self._client.list("Pod", self._where.namespace, labelSelector=selector)
        return found[0] if found else None

    async def _remove(self) -> None:
        """All Jobs of all runs: there is one canary."""
        for left in await self._client.list("Job", self._where.namespace, labelSelector=LABEL_CANARY):
            meta = left["metadata"]
            await self._client.delete("Job", meta["name"], meta["namespace"], meta["uid"])


def _node(pod: Object | None) -> str:
    """Where a pod was put; empty: nowhere."""
    return str(((pod or {}).get("spec") or {}).get("nodeName") or "")


def _ended(pod: Object | None) -> Mapping[str, Any] | None:
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or ()
    return next((s["state"]["terminated"] for s in statuses if s.get("state", {}).get("terminated")), None)


def _not_started(role: Role, pod: Object | None) -> str:
    """Why a pod does not run, as far as its status tells."""
    if pod is None:
        return (
            f"no pod was made for the canary's Job ({role}) in {START_SECONDS:.0f} s. A ResourceQuota or an admission "
            "policy of the operator's namespace may forbid it; `kubectl describe job -l smallmodel.dev/canary` there "
            "says so."
        )
    status = pod.get("status") or {}
    waiting = [s["state"]["waiting"] for s in status.get("containerStatuses") or () if s["state"].get("waiting")]
    unfit = [c for c in status.get("conditions") or () if c.get("type") == "PodScheduled" and c.get("status") != "True"]
    words = [f"{w.get('reason', '')} {w.get('message', '')}" for w in (*waiting, *unfit)] or [status.get("phase", "")]
    text = " ".join(str(words[0]).split())[:300]
    return f"the canary's pod ({role}) does not run: {text or 'it has no state yet'}."


def _explained(error: ApiError, namespace: str) -> str:
    if error.status == 403:
        return (
            f"the API server does not let the operator make the canary's objects in namespace {namespace}: "
            f"{error.message}. Its Role (from the chart), a ResourceQuota or an admission policy is the cause."
        )
    return f"the API server refuses the canary's objects: {error.message}"
