"""Profiles, nodes and pods as what a ledger is reckoned from. Pure: objects in, values out."""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import yaml

from smallmodel_operator.api.names import PRICES, PRICES_KEY
from smallmodel_operator.cluster.energy_meters import PodIdentity
from smallmodel_operator.control.prices import hour_of, watts_of
from smallmodel_operator.core.budget import Spent
from smallmodel_operator.core.energy import Drawn, Meters
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.money import BadCost
from smallmodel_operator.cost import report
from smallmodel_operator.cost.ledger import HOUR_MICROSECONDS, Account, Book, PricedNode, money
from smallmodel_operator.cost.pool import Pod, PricedProfile, pod_of, priced
from smallmodel_operator.cost.pricelist import PriceList, price_list
from smallmodel_operator.cost.rate import Rate, seen
from smallmodel_operator.cost.state import State
from smallmodel_operator.cost.tokens import Speed, measured
from smallmodel_operator.energy import meter

logger = logging.getLogger(__name__)


def profiles_of(profiles: Iterable[Object]) -> list[PricedProfile]:
    """Those that say what their nodes cost. One that makes no sense is left out: its nodes cost nothing until it does.

    The API server refuses such a profile; one from before its rules may be there all the same.
    """
    found = []
    for profile in profiles:
        name = profile["metadata"]["name"]
        try:
            if (price := hour_of(profile["spec"])) is not None:
                watts = watts_of(profile["spec"])
                found.append(PricedProfile(name, profile["spec"].get("nodeSelector") or {}, price, watts))
        except BadCost as error:
            logger.warning("ComputeProfile %s counts as without a price: %s", name, error)
    return found


def pods_of(models: Iterable[tuple[tuple[str, str], Object]], others: Iterable[Object]) -> list[Pod]:
    """Pods that have a place on a node. One that cannot be read is passed over."""
    named = [*((f"{key[0]}/{key[1]}", pod) for key, pod in models), *(("", pod) for pod in others)]
    found = []
    for model, pod in named:
        try:
            if (there := pod_of(pod, model)) is not None:
                found.append(there)
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("a pod of %s is not counted: %s", model or "others", error)
    return found


def nodes_of(nodes: Iterable[Object], pods: Iterable[Pod], profiles: Iterable[PricedProfile]) -> tuple[PricedNode, ...]:
    """Nodes that cost something, and who is on them.

    Raises:
        ValueError, KeyError: a node is not as Kubernetes writes it.
    """
    return priced(nodes, pods, profiles)


def named(pod: Object) -> PodIdentity:
    """A pod as who counts its energy knows it."""
    meta = pod["metadata"]
    return PodIdentity(meta.get("uid", ""), meta.get("namespace", ""), meta.get("name", ""))


def drawn_of(nodes: Iterable[PricedNode], before: Meters, now: Meters, length: int) -> Drawn:
    """What models' pods drew between two looks at their counters, `length` microseconds apart, where these say it."""
    places = (
        meter.Place(t.pod, t.model, node.pool.watts, node.millicores, t.devices)
        for node in nodes
        for t in node.tenants
        if t.pod
    )
    return meter.drawn(places, before, now, length)


def prices_of(config_map: Object | None) -> PriceList | None:
    """The cloud's prices in their ConfigMap; None: there is none, or it holds none.

    Raises:
        BadCost: it makes no sense; the message names the field.
    """
    entry = ((config_map or {}).get("data") or {}).get(PRICES_KEY)
    if not entry:
        return None
    try:
        return price_list(yaml.safe_load(entry))
    except yaml.YAMLError as error:
        raise BadCost(f"entry {PRICES_KEY} of ConfigMap {PRICES} is no YAML: {' '.join(str(error).split())}") from error


def speed_of(status: Mapping[str, Any]) -> Speed | None:
    """How fast a model's replica is; None: not measured."""
    try:
        return measured(status.get("capacity"))
    except BadCost:
        return None


def cost_of(
    state: State, model: tuple[str, str], status: Mapping[str, Any], prices: PriceList | None, now: datetime
) -> dict[str, Any]:
    """`status.cost` of a model this month; empty: it cost nothing."""
    book = state.ledger.get(now.strftime("%Y-%m"))
    name = f"{model[0]}/{model[1]}"
    account = book.models.get(name, Account()) if book else Account()
    if not book or not account.spent:
        return {}
    found = report.rows(Book({name: account}), {name: speed_of(status)}, prices)
    return report.status(found[0], prices, now)


def spent_of(
    state: State,
    model: str,
    currency: str,
    hourly: tuple[str, Decimal] | None,
    lately: Rate | None,
    now: datetime,
) -> Spent:
    """What a model (`<namespace>/<name>`) has cost this month.

    Args:
        hourly: currency and money of an hour of its replica, as last seen; without any, the month's mean stands in.
        lately: its tokens an hour.
    """
    book = state.ledger.get(now.strftime("%Y-%m"))
    account = book.models.get(model, Account()) if book else Account()
    amount = money(account.spent.get(currency, 0))
    price = hourly[1] if hourly and hourly[0] == currency else None
    if price is None and amount and account.microseconds:
        price = amount * HOUR_MICROSECONDS / account.microseconds
    usage = account.usage
    return Spent(amount, price, usage.prompt, usage.generated, lately.known if lately else None)


def rates(state: State, before: Mapping[str, Rate], now: datetime) -> dict[str, Rate]:
    """Tokens an hour of all models of this month, after another look."""
    book = state.ledger.get(now.strftime("%Y-%m"), Book())
    return {
        name: seen(before.get(name), account.usage.prompt + account.usage.generated, state.at)
        for name, account in book.models.items()
    }
