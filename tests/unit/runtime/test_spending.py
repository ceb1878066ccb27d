"""The ledger with its effects: looked at, kept, taken up again. The clock is moved by hand."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from prometheus_client import REGISTRY
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.energy_meters import PodIdentity
from smallmodel_operator.cluster.events import Events
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.cluster.spend import Occupancy, Spend
from smallmodel_operator.core.energy import JOULE, Meter, Meters
from smallmodel_operator.core.traffic import Tally, Usage
from smallmodel_operator.cost import checkpoint
from smallmodel_operator.cost.ledger import microseconds, money
from smallmodel_operator.runtime.operator import _warn
from smallmodel_operator.runtime.spending import KEEP_SECONDS, Seen, Spending

BEGIN = datetime(2026, 11, 22, 9, tzinfo=UTC)
SYSTEM = "smallmodel-system"
PROFILE = {
    "apiVersion": "smallmodel.dev/v1alpha1",
    "kind": "ComputeProfile",
    "metadata": {"name": "cpu"},
    "spec": {"engines": [], "price": {"hourly": "0.60", "currency": "EUR"}},
}
NODE = {
    "kind": "Node",
    "metadata": {"name": "n", "creationTimestamp": "2026-11-01T00:00:00Z"},
    "status": {"allocatable": {"cpu": "10", "memory": "64Gi"}, "capacity": {"cpu": "16"}},
}
PRICES = """\
read: "2026-11-01"
currency: EUR
prices: [{name: small, promptPerMillionTokens: "1", generatedPerMillionTokens: "2"}]
"""
CAPACITY = {
    "prefillTokensPerSecond": "100.0",
    "decodeTokensPerSecond": [{"concurrency": 1, "tokensPerSecond": "10.0"}],
}
BOT = ("support", "bot")


def pod(name: str, node: str = "n", since: datetime = BEGIN, cpu: str = "5", **labels: str) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "namespace": "support",
            "creationTimestamp": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "labels": labels,
        },
        "spec": {"nodeName": node, "containers": [{"resources": {"requests": {"cpu": cpu}}}]},
        "status": {"phase": "Running"},
    }


class World:
    """A cluster, what the watches know of it, and one operator after the other."""

    def __init__(self, api: FakeApiServer) -> None:
        self.api = api
        self.now, self.passed = BEGIN, 0.0
        self.profiles: list[Any] = [PROFILE]
        self.pods: dict[str, Any] = {}
        self.synced = True
        self.tallies: dict[str, Tally] = {}
        for obj in (PROFILE, NODE):
            api.put(obj)
        self.operator()

    def operator(self, client: Client | None = None) -> Spending:
        """A new process."""
        used = client or self.api.client()
        seen = Seen(
            profiles=lambda: self.profiles,
            pods=lambda: [(BOT, p) for p in self.pods.values()],
            synced=lambda: self.synced,
        )

        async def usage() -> dict[str, Tally]:
            return self.tallies

        self.spending = Spending(
            Spend(used, SYSTEM), Occupancy(used), seen, usage, now=lambda: self.now, clock=lambda: self.passed
        )
        return self.spending

    def list_prices(self, text: str = PRICES) -> None:
        meta = {"name": "smallmodel-prices", "namespace": SYSTEM}
        self.api.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"prices.yaml": text}})

    def use(self, prompt: int, generated: int) -> None:
        self.tallies = {"g-0": Tally(microseconds(BEGIN), {"support/bot": Usage(1, prompt, generated)})}

    async def run(self, seconds: float, tick: float = 30) -> None:
        await self.spending.step()
        left = seconds
        while left > 0:
            step = min(tick, left)
            left -= step
            self.now += timedelta(seconds=step)
            self.passed += step
            await self.spending.step()

    def spent(self) -> Decimal:
        assert self.spending.state is not None
        book = self.spending.state.ledger["2026-11"]
        return money(book.models["support/bot"].spent["EUR"])

    def kept(self) -> bool:
        return self.api.get("ConfigMap", "smallmodel-spend", SYSTEM) is not None


@pytest.fixture
async def world(api: FakeApiServer) -> World:
    return World(api)


def metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"smallmodel_operator_cost_{name}", labels)


async def test_a_model_pays_its_share_and_the_rest_is_idle(world: World) -> None:
    world.pods["a"] = pod("a")
    world.api.put(pod("other", cpu="2"))
    world.api.put(pod("a", **{"app.kubernetes.io/managed-by": "smallmodel-operator"}))
    await world.run(3600)
    assert world.spent() == Decimal("0.30")
    assert metric("month_to_date", namespace="support", model="bot", currency="EUR") == pytest.approx(0.30)
    pools = {
        w: metric("pool_month_to_date", profile="cpu", currency="EUR", had_by=w) for w in ("models", "others", "idle")
    }
    assert pools == {"models": pytest.approx(0.30), "others": pytest.approx(0.12), "idle": pytest.approx(0.18)}


async def test_without_a_price_nothing_is_counted_written_or_read(world: World) -> None:
    world.profiles = [{**PROFILE, "spec": {"engines": []}}]
    world.pods["a"] = pod("a")
    await world.run(3600)
    assert world.spending.state is None
    assert world.spending.cost(BOT, {}) == {}
    assert not world.api.writes
    assert not [s for s in world.api.sent if "/nodes" in s.path or "/pods" in s.path]


async def test_a_restart_goes_on_where_the_last_checkpoint_was(world: World) -> None:
    """Killed, and away for a while: the time is charged to who was there, tokens are counted, nothing twice."""
    world.pods["a"] = pod("a")
    await world.run(1000)
    world.use(700, 100)
    world.operator()
    world.now += timedelta(seconds=800)
    world.passed = 0
    await world.run(0)
    assert world.spent() == Decimal("0.15")
    assert world.spending.state is not None
    account = world.spending.state.ledger["2026-11"].models["support/bot"]
    assert account.usage == Usage(1, 700, 100)
    assert world.spending.state.ledger["2026-11"].gap == 900_000_000, "from the last checkpoint on"
    await world.run(1800)
    assert world.spent() == Decimal("0.30")
    assert world.spending.state.ledger["2026-11"].models["support/bot"].usage == Usage(1, 700, 100)


async def test_a_status_stays_until_the_new_process_has_looked(world: World) -> None:
    """Not `nothing was spent`, which would take it away."""
    world.pods["a"] = pod("a")
    await world.run(KEEP_SECONDS)
    world.operator()
    world.api.refuse("GET", "/nodes", 503, "ServiceUnavailable", "not now")
    await world.run(60)
    assert world.spending.cost(BOT, {}) is None
    world.api.heal()
    await world.run(60)
    assert (world.spending.cost(BOT, {}) or {})["currency"] == "EUR"


async def test_it_is_kept_each_five_minutes_and_not_more_often(world: World) -> None:
    world.pods["a"] = pod("a")
    await world.run(3 * KEEP_SECONDS)
    assert len(world.api.writes) == 3
    assert all("configmaps" in s.path for s in world.api.writes)


async def test_who_ends_in_good_order_keeps_what_was_spent(world: World) -> None:
    world.pods["a"] = pod("a")
    await world.run(120)
    assert not world.kept()
    await world.spending._keep_last()
    assert world.kept()


async def test_who_may_not_write_any_more_does_not(world: World) -> None:
    world.pods["a"] = pod("a")
    world.operator(world.api.client(Fence()))
    await world.run(2 * KEEP_SECONDS)
    await world.spending._keep_last()
    assert not world.kept()
    assert metric("problem", work="look") == 1


async def test_nothing_is_charged_to_idle_before_the_watches_have_told(world: World) -> None:
    """Right after a start no pod is known, and models there are."""
    world.pods["a"] = pod("a")
    await world.run(KEEP_SECONDS)
    before = world.spent()
    known, world.pods, world.synced, world.profiles = world.pods, {}, False, []
    world.api.put(
        {
            "apiVersion": "smallmodel.dev/v1alpha1",
            "kind": "SmallModel",
            "metadata": {"name": "bot", "namespace": "support"},
        }
    )
    world.operator()
    await world.run(60)
    world.pods, world.synced, world.profiles = known, True, [PROFILE]
    await world.run(240)
    assert world.spent() == before * 2


async def test_a_cluster_without_models_is_idle(world: World) -> None:
    world.synced = False
    await world.run(3600)
    assert metric("pool_month_to_date", profile="cpu", currency="EUR", had_by="idle") == pytest.approx(0.60)


async def test_an_outage_is_made_up_for(world: World) -> None:
    world.pods["a"] = pod("a")
    await world.run(30)
    world.passed += KEEP_SECONDS
    world.api.refuse("GET", "/nodes", 503, "ServiceUnavailable", "not now")
    await world.run(600)
    assert metric("problem", work="look") == 1
    world.api.heal()
    await world.run(1170)
    assert metric("problem", work="look") == 0
    assert world.spent() == Decimal("0.15")


@pytest.mark.parametrize("broken", [{}, {"ledger.json.gz": "bm8="}])
async def test_what_cannot_be_read_is_not_overwritten(
    world: World, broken: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    meta = {"name": "smallmodel-spend", "namespace": SYSTEM}
    world.api.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "binaryData": broken})
    world.pods["a"] = pod("a")
    await world.run(1200)
    assert not world.api.writes
    assert metric("problem", work="ledger") == 1
    assert "cannot be read" in caplog.text
    assert world.spending.cost(BOT, {}) is None, "what a status says stays"
    del world.api.objects["ConfigMap", SYSTEM, "smallmodel-spend"]
    await world.run(KEEP_SECONDS)
    assert metric("problem", work="ledger") == 0
    assert world.kept()


async def test_of_two_that_write_the_later_takes_over_what_is_there(world: World) -> None:
    world.pods["a"] = pod("a")
    first = world.spending
    await world.run(KEEP_SECONDS)
    world.operator()
    await world.run(KEEP_SECONDS)
    assert world.kept()
    second, world.spending = world.spending, first
    await world.run(KEEP_SECONDS)
    await world.run(KEEP_SECONDS)
    total = world.spent()
    assert total == Decimal("0.60") / 2 * 4 * int(KEEP_SECONDS) / 3600
    assert second is not first


async def test_a_ledger_removed_by_hand_is_written_anew(world: World) -> None:
    world.pods["a"] = pod("a")
    await world.run(KEEP_SECONDS)
    del world.api.objects["ConfigMap", SYSTEM, "smallmodel-spend"]
    await world.run(KEEP_SECONDS)
    text = await Spend(world.api.client(), SYSTEM).load()
    assert text is not None
    assert checkpoint.load(text) == world.spending.state


async def test_a_status_says_what_it_cost_beside_the_cloud(world: World) -> None:
    world.list_prices()
    world.pods["a"] = pod("a")
    assert world.spending.cost(BOT, {}) is None
    await world.run(1800)
    world.use(100_000, 20_000)
    await world.run(1800)
    assert world.spending.cost(BOT, {"capacity": CAPACITY}) == {
        "month": "2026-11",
        "at": "2026-11-22T10:00:00Z",
        "currency": "EUR",
        "monthToDate": "0.30",
        "perMillionTokens": "2.5000",
        "perMillionPromptTokens": "1.0000",
        "perMillionGeneratedTokens": "10.0000",
        "cloudEquivalent": "0.14",
        "source": "Prices of nodes: ComputeProfiles. Of the cloud: small, as read on 2026-11-01.",
    }
    assert "perMillionPromptTokens" not in (world.spending.cost(BOT, {}) or {}), "not measured, not split"
    assert world.spending.cost(("support", "other"), {}) == {}
    assert metric("cloud_equivalent", namespace="support", model="bot", currency="EUR") == pytest.approx(0.14)
    assert metric("prices_age_days") == 21


@pytest.mark.parametrize(
    ("text", "says"),
    [(PRICES.replace("2026-11-01", "2026-01-01"), "days ago"), ("read: [", "no YAML"), ("{}", "prices must be")],
)
async def test_a_price_list_that_is_old_or_wrong_is_said_and_stops_nothing(
    world: World, text: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.list_prices(text)
    world.pods["a"] = pod("a")
    await world.run(3600)
    assert says in caplog.text
    assert caplog.text.count(says) == 1
    assert metric("problem", work="prices") == 1
    assert world.spent() == Decimal("0.30")


async def test_an_old_price_list_is_told_on_its_config_map_once(world: World) -> None:
    """By the operator's own events, at each look at the list; nothing while it is young."""
    events = Events(world.api.client(), "me", lambda: world.passed)
    world.spending.warn = partial(_warn, events)
    world.pods["a"] = pod("a")

    def told() -> list[dict[str, Any]]:
        return [s.body for s in world.api.writes if s.path.endswith("/events")]

    world.list_prices()
    await world.run(2 * KEEP_SECONDS)
    assert told() == []
    world.list_prices(PRICES.replace("2026-11-01", "2026-01-01"))
    await world.run(4 * KEEP_SECONDS)
    [event] = told()
    assert (event["type"], event["reason"]) == ("Warning", "PricesUnusable")
    assert event["regarding"]["kind"] == "ConfigMap"
    assert event["regarding"]["name"] == "smallmodel-prices"
    assert "read 325 days ago" in event["note"]


async def test_pods_that_may_not_be_listed_count_as_idle_and_it_is_said(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.api.refuse("GET", "/api/v1/pods", 403, "Forbidden", "no")
    world.pods["a"] = pod("a")
    await world.run(3600)
    assert world.spent() == Decimal("0.30")
    assert "count as idle" in caplog.text


async def test_a_pod_that_cannot_be_read_is_passed_over(world: World) -> None:
    world.pods = {"a": pod("a"), "b": pod("b", cpu="many"), "c": {"metadata": {}, "spec": {"nodeName": "n"}}}
    await world.run(3600)
    assert world.spent() == Decimal("0.30")


# -- energy ---------------------------------------------------------------------------------------------------------

POWERED = {
    **PROFILE,
    "spec": {
        "engines": [],
        "price": {"purchase": "5256", "amortizationYears": 1, "currency": "EUR"},
        "power": {"watts": 400, "pricePerKilowattHour": "0"},
    },
}
"""Of its node the model's pod has half: 200 W."""


class Counters:
    """In place of Prometheus: what `say` makes of the time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.problem = ""
        self.asked: list[PodIdentity] = []
        self.say: Callable[[float], Meter | None] = lambda _: None

    async def read(self, pods: Collection[PodIdentity]) -> Meters:
        self.asked = list(pods)
        meter = self.say((self._world.now - BEGIN).total_seconds())
        return {pod.uid: meter for pod in pods} if meter else {}


def energy(world: World) -> dict[str, float]:
    """Joules by source."""
    assert world.spending.state is not None
    drawn = world.spending.state.ledger["2026-11"].models["support/bot"].energy
    return {source: amount / JOULE for source, amount in drawn.items()}


def joules(source: str) -> float:
    labels = {"namespace": "support", "model": "bot", "source": source}
    return REGISTRY.get_sample_value("smallmodel_operator_energy_joules_total", labels) or 0.0


@pytest.fixture
def counters(world: World) -> Counters:
    world.profiles = [POWERED]
    world.pods["a"] = pod("a")
    world.spending.meters = made = Counters(world)
    return made


async def test_without_counters_a_share_of_the_node_is_drawn_and_says_so(world: World, counters: Counters) -> None:
    before = joules("RequestedShare")
    world.spending.meters = None
    await world.run(1800)
    world.use(70_000, 30_000)
    await world.run(1800)
    assert energy(world) == {"RequestedShare": 200 * 3600}
    assert joules("RequestedShare") - before == pytest.approx(200 * 3600)
    said = world.spending.cost(BOT, {}) or {}
    assert (said["wattHours"], said["wattHoursPerThousandTokens"], said["energySource"]) == (
        "200.000", "2.0000", "RequestedShare",
    )  # fmt: skip


async def test_a_profile_without_watts_draws_nothing_that_is_known(world: World) -> None:
    world.pods["a"] = pod("a")
    await world.run(3600)
    assert energy(world) == {}
    assert not any(word in (world.spending.cost(BOT, {}) or {}) for word in ("wattHours", "energySource"))


async def test_kepler_goes_before_processor_time_and_that_before_shares(world: World, counters: Counters) -> None:
    await world.run(60)
    assert counters.asked == [PodIdentity("uid-a", "support", "a")]
    counters.say = lambda now: Meter({}, {"engine": round(now * 1e6)})  # a whole core: 25 W of 16 at 400 W
    await world.run(90)
    assert energy(world) == {"RequestedShare": 200 * 60, "CpuSeconds": 25 * 90}
    counters.say = lambda now: Meter({"package": round(7e6 * now), "core": 1}, {"engine": round(now * 1e6)})
    await world.run(90)
    assert energy(world) == {"RequestedShare": 200 * 60, "CpuSeconds": 25 * 90, "Kepler": 7 * 90}
    counters.say, counters.problem = lambda _: None, "Prometheus: no connection"
    await world.run(30)
    assert metric("problem", work="energy") == 1
    assert energy(world)["RequestedShare"] == 200 * 90
    counters.say, counters.problem = lambda now: Meter({"package": round(7e6 * now)}), ""
    await world.run(60)
    assert metric("problem", work="energy") == 0
    assert energy(world) == {"RequestedShare": 200 * 90, "CpuSeconds": 25 * 90, "Kepler": 7 * 150}, "nothing twice"


async def test_counters_go_on_over_a_restart(world: World, counters: Counters) -> None:
    """Killed 100 s after its last checkpoint, and away for 800: what was counted meanwhile is counted once."""
    counters.say = lambda now: Meter({"package": round(7e6 * now)})
    await world.run(400)
    before = joules("Kepler")
    world.operator().meters = counters
    world.now += timedelta(seconds=800)
    world.passed = 0
    await world.run(0)
    assert energy(world) == {"Kepler": 7 * 1200}
    assert joules("Kepler") - before == pytest.approx(7 * 900), "the metric begins with its process, at the checkpoint"
    assert world.spending.state is not None
    assert world.spending.state.meters == {"uid-a": Meter({"package": 7 * 1200 * 10**6})}


async def test_a_pod_without_a_name_stops_nothing(world: World, counters: Counters) -> None:
    counters.say = lambda now: Meter({"package": round(7e6 * now)})
    world.pods["c"] = {"metadata": {}, "spec": {"nodeName": "n"}}
    await world.run(60)
    assert energy(world) == {"Kepler": 7 * 60}


async def test_a_pod_that_was_replaced_is_another_one(world: World, counters: Counters) -> None:
    counters.say = lambda now: Meter({"package": round(7e6 * now)})
    await world.run(60)
    world.pods = {"b": pod("b", since=world.now)}
    world.now += timedelta(seconds=30)
    await world.run(60)
    assert energy(world) == {"Kepler": 7 * (60 + 60), "RequestedShare": 200 * 30}, "a first look is no amount"
    assert world.spending.state is not None
    assert list(world.spending.state.meters) == ["uid-b"]
