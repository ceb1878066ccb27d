"""One pool, many models: what each of them claims, and what it is told. Pure; times in seconds.

A model takes part if its replicas move: those that follow an objective, and those that may sleep. What anybody else
requests of a node is taken. Who is asleep claims nothing: a gateway wakes it, and then it does. Only one that sleeps
for want of room claims it as soon as somebody asks: no gateway wakes it before there is some.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from smallmodel_operator.api.names import LABEL_ROLE, ROLE_SERVER
from smallmodel_operator.autoscaling.room import Claim, Priority, Room, share
from smallmodel_operator.autoscaling.spare import settle
from smallmodel_operator.autoscaling.worth import Worth, learn
from smallmodel_operator.boundary import nodes as tainted
from smallmodel_operator.control import granted, scale
from smallmodel_operator.control.standing import PoolStanding as PoolStanding
from smallmodel_operator.control.standing import told
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.scaling import Scaled
from smallmodel_operator.core.traffic import Traffic
from smallmodel_operator.cost.share import Amounts, requests_of, room_of
from smallmodel_operator.resolve import Resolved

ModelKey = tuple[str, str]
"""(namespace, model)."""
YIELD_SECONDS: Final = 5.0
"""Who was asked this lately is not idle: what follows an answer at once finds its replica."""
ANSWER_SECONDS: Final = 10.0
"""About as long as an answer takes: requests in flight over it are the requests a second of a model whose gateways
count no more than that."""
ENDED: Final = ("Succeeded", "Failed")
_Seen = tuple[ModelKey, Object, bool]
"""A pod of a model, and whether it is a replica on a node that is to stay."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A model as its last pass saw it. `replicas` are those its Deployment asks for, 0 while it sleeps for want of
    room; `ready` those that answer, `awake` those it has when awake while no controller says how many."""

    uid: str
    priority: Priority
    replica: Room
    selector: Mapping[str, str]
    tolerations: Sequence[Mapping[str, Any]]
    replicas: int
    ready: int
    awake: int
    floor: int
    lasted: float = field(default=0.0, compare=False)
    """Seconds for which it has answered, or has waited for room, by its own conditions; 0: neither, or not known."""

    def wants(self, said: Scaled | None) -> int:
        """Replicas it would have with room for all."""
        if said is not None:
            return max(said.replicas, self.floor)
        return max(self.awake if self.ready else self.replicas, self.floor)


@dataclass(frozen=True, slots=True)
class Applicant:
    """All that is known of a tenant at one look. `needs`: replicas its controller asks for at this moment, while what
    it `said` lasts a little longer."""

    tenant: Tenant
    said: Scaled | None
    traffic: Traffic
    standing: PoolStanding = field(default_factory=PoolStanding)
    needs: int | None = None

    @property
    def idle(self) -> bool:
        """Nobody asks it, as every gateway says."""
        return self.traffic.complete and not self.traffic.busy and self.traffic.idle >= YIELD_SECONDS

    @property
    def wants(self) -> int:
        """Replicas it would have with room for all; asleep, one as soon as somebody asks."""
        return self.tenant.wants(self.said) if self.tenant.replicas else int(not self.idle)

    @property
    def claims(self) -> int:
        """Of those, the ones it needs now."""
        if self.needs is None or not self.tenant.replicas:
            return self.wants
        return min(self.wants, max(self.needs, self.tenant.floor))


@dataclass(frozen=True, slots=True)
class Site:
    """What is known of the nodes: all of them, pods on them that are no model's, and models' pods."""

    nodes: Sequence[Object]
    others: Sequence[Object]
    pods: Sequence[tuple[ModelKey, Object]]


def tenant(resolved: Resolved, snapshot: Snapshot) -> Tenant | None:
    """A model's part in the pool; None: its replicas do not move, or it has none now, and not for want of room."""
    live = snapshot.child("Deployment", resolved.name)
    follows = resolved.objective is not None
    if resolved.off or live is None or snapshot.stranger is not None or not (follows or resolved.may_sleep):
        return None
    replicas = int(live.get("spec", {}).get("replicas", 1))
    if not replicas and not granted.slept(snapshot.previous_status):
        return None
    template = live["spec"]["template"]
    least = resolved.objective.least if resolved.objective else 0
    return Tenant(
        uid=resolved.uid,
        priority=Priority[resolved.priority.upper()],
        replica=_room(requests_of(template)),
        selector=template["spec"].get("nodeSelector") or {},
        tolerations=tuple(template["spec"].get("tolerations") or ()),
        replicas=replicas,
        ready=min(replicas, int(live.get("status", {}).get("availableReplicas") or 0)),
        awake=replicas if follows else resolved.replicas,
        floor=0 if resolved.may_sleep else least,
        lasted=granted.waited(snapshot) if not replicas else scale.up_seconds(snapshot),
    )


def tight(applicants: Iterable[Applicant]) -> bool:
    """Does any model want more than it has? Else nobody needs to be asked for room."""
    return any(a.wants > a.tenant.ready or a.tenant.replicas > a.tenant.ready for a in applicants)


# -- the decision ----------------------------------------------------------------------------------------------


def decide(
    applicants: Mapping[ModelKey, Applicant],
    site: Site,
    now: float,
    gains: Callable[[ModelKey], Sequence[float]] = lambda _: (),
) -> Mapping[ModelKey, PoolStanding]:
    """How each model stands after a look at all of them.

    Args:
        applicants: all models that move.
        site: the nodes, and who else is on them.
        now: the time.
        gains: misses a second that each replica of a model avoids, as its controller knows; empty: it has none.

    Raises:
        ValueError: a node or a pod is not as Kubernetes writes it.
    """
    pods = [(model, pod, _serves(pod)) for model, pod in site.pods]
    on = _placed(applicants, pods)
    free = _free(applicants, site, pods, on)
    reach = _Reach(site.nodes)
    standings = {m: _stands(a, bool(on.get(m)), gains(m), now) for m, a in applicants.items()}
    claims = {m: _claim(m, a, standings[m], on.get(m, ()), reach, now) for m, a in applicants.items()}
    grants = share(free, list(claims.values()))
    settled = {m: settle(standings[m].spare, c, grants[c.name], now) for m, c in claims.items()}
    hold = frozenset(name for name, grant in grants.items() if grant.replicas)
    return {
        m: told(replace(standings[m], spare=s), claims[m], grant, applicants[m].wants, now, hold)
        for m, (s, grant) in settled.items()
    }


def _placed(applicants: Collection[ModelKey], pods: Iterable[_Seen]) -> dict[ModelKey, list[str]]:
    found: dict[ModelKey, list[str]] = {}
    for model, pod, serves in pods:
        if serves and model in applicants:
            found.setdefault(model, []).append(pod["spec"]["nodeName"])
    return found


def _serves(pod: Object) -> bool:
    """A replica on a node that is to stay."""
    meta, phase = pod["metadata"], (pod.get("status") or {}).get("phase")
    server = (meta.get("labels") or {}).get(LABEL_ROLE) == ROLE_SERVER
    placed = bool((pod.get("spec") or {}).get("nodeName"))
    return server and placed and not meta.get("deletionTimestamp") and phase not in ENDED


def _free(
    applicants: Mapping[ModelKey, Applicant],
    site: Site,
    pods: Iterable[_Seen],
    on: Mapping[ModelKey, Sequence[str]],
) -> dict[str, Room]:
    """What tenants may have of each node: all that nobody else has. Of a tenant's pods those that count as its
    replicas are its own; one that ends, or is one too many for a while, has its room like anybody's."""
    free = {n["metadata"]["name"]: _room(room_of(n)) for n in site.nodes}
    nodes = set(free)
    left = {m: min(len(on.get(m, ())), a.tenant.replicas) for m, a in applicants.items()}
    for model, pod, serves in pods:
        if not (serves and left.get(model)):
            _take(free, pod)
            continue
        left[model] -= 1
        # What runs has room where it runs: on a node that came since they were read, and with other requests than
        # those it is to have.
        node, replica = pod["spec"]["nodeName"], applicants[model].tenant.replica
        own = _room(requests_of(pod)) if node in nodes else Room(0.0)
        free[node] = free.get(node, Room(0.0)).plus(replica).minus(own)
    for pod in site.others:
        _take(free, pod)
    return free


def _take(free: dict[str, Room], pod: Object) -> None:
    node = (pod.get("spec") or {}).get("nodeName")
    if node in free and (pod.get("status") or {}).get("phase") not in ENDED:
        free[node] = free[node].minus(_room(requests_of(pod)))


def _room(amounts: Amounts) -> Room:
    return _room_of(tuple(amounts.items()))


@lru_cache(maxsize=1024)
def _room_of(listed: tuple[tuple[str, Decimal], ...]) -> Room:
    """Thousands of pods request the same few amounts."""
    amounts = dict(listed)
    devices = {name: float(a) for name, a in listed if name not in ("cpu", "memory") and a}
    return Room(float(amounts.get("cpu", 0)), float(amounts.get("memory", 0)), devices)


class _Reach:
    """Which nodes new replicas may come to; models that ask for the same are answered once."""

    def __init__(self, nodes: Sequence[Object]) -> None:
        self._nodes = [n for n in nodes if not (n.get("spec") or {}).get("unschedulable")]
        self._known: dict[str, frozenset[str]] = {}

    def of(self, tenant: Tenant) -> frozenset[str]:
        key = repr((sorted(tenant.selector.items()), tenant.tolerations))
        if key not in self._known:
            found = tainted.nodes(self._nodes, tenant.tolerations)
            labelled = {n["metadata"]["name"] for n in self._nodes if _has(n, tenant.selector)}
            self._known[key] = frozenset((found.names - found.closed) & labelled)
        return self._known[key]


def _has(node: Object, selector: Mapping[str, str]) -> bool:
    return selector.items() <= (node["metadata"].get("labels") or {}).items()


def _stands(of: Applicant, has: bool, gains: Sequence[float], now: float) -> PoolStanding:
    """With a replica, or without although somebody asks: since when; and what its replicas are worth by now."""
    before = of.standing.worth if has else Worth()  # else who was not asked for long would wait to be believed
    old = replace(of.standing, worth=learn(before, gains or _gains(of.traffic), now))
    if old.has is not has:
        return replace(old, has=has, since=now)
    if not has and not of.traffic.busy:
        return replace(old, since=now)
    return old


def _claim(
    model: ModelKey,
    of: Applicant,
    standing: PoolStanding,
    on: Sequence[str],
    reach: _Reach,
    now: float,
) -> Claim:
    traffic, own = of.traffic, of.tenant
    on = on[: own.replicas]
    wanted, floor = of.claims, own.floor
    if not traffic.complete:  # unknown keeps what runs
        wanted, floor = max(wanted, len(on)), max(floor, len(on))
    return Claim(
        name="/".join(model),
        priority=own.priority,
        replica=own.replica,
        current=len(on),
        floor=floor,
        wanted=wanted,
        gains=standing.worth.gains,
        idle=of.idle,
        idle_seconds=traffic.idle,
        starved_seconds=0.0 if standing.has else now - standing.since,
        had_seconds=now - standing.since if standing.has else 0.0,
        on=on,
        may_use=reach.of(own),
    )


def _gains(traffic: Traffic) -> tuple[float, ...]:
    """Of a model without an objective: the first replica answers those who ask, the next ones share the waiting."""
    asked = sum(r.in_flight + r.held for r in (*traffic.reports, *traffic.leaving))
    rate = max(asked, 0.1) / ANSWER_SECONDS
    return (2 * rate, *(rate / n for n in range(2, 9)))
