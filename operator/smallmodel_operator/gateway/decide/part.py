"""Decisions as a part of the agent's process."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.budget.asking import Asking
from smallmodel_operator.gateway.budget.part import Budgets
from smallmodel_operator.gateway.content.keeping import Keeping
from smallmodel_operator.gateway.content.part import Content
from smallmodel_operator.gateway.decide.answer import may_leave
from smallmodel_operator.gateway.decide.classifiers import Classifiers
from smallmodel_operator.gateway.decide.outages import FAILED
from smallmodel_operator.gateway.decide.passes import Passes
from smallmodel_operator.gateway.decide.policies import Policies
from smallmodel_operator.gateway.decide.recognizers import Recognizers
from smallmodel_operator.gateway.decide.server import serve
from smallmodel_operator.gateway.decide.service import (
    Call,
    Deciding,
    Keep,
    NotRecorded,
    Recognize,
    Route,
    Withhold,
    no_content,
    nobody,
    nothing,
)
from smallmodel_operator.gateway.decide.services import Services, place


async def choose(agent: Agent) -> None:
    """Decide on requests to the agent's own routes, with the classifiers these name, until cancelled."""
    policies = Policies(
        lambda: agent.writer.state,
        lambda reference: classifiers.of(reference),
        agent.route_policies,
        agent.outages.resting,
        agent.recent.p95,
    )
    classifiers = Classifiers(agent.client, policies.wanted)
    budgets = Budgets(agent)
    asking = Asking(lambda: agent.writer.state, lambda: budgets.counting)
    content = Content(agent)
    services = Services(agent.client, policies.services)
    recognizers = Recognizers(lambda namespace, one: place(namespace, one, services.of, agent.writer.state))
    async with recognizers, asyncio.TaskGroup() as tasks:
        tasks.create_task(classifiers.run())
        tasks.create_task(services.run())
        tasks.create_task(budgets.run())
        tasks.create_task(content.run())
        keep = Keeping(lambda: content.keys)
        routes, labels = policies.route, policies.labels
        work = decide(agent, routes, labels, asking, policies.away, policies.p95, recognizers.ask, keep)
        tasks.create_task(work)


async def decide(
    agent: Agent,
    routes: Callable[[str], Route | None],
    labels: Callable[[Call], Collection[str]],
    withhold: Withhold = nothing,
    away: Callable[[str], str] = lambda target: "",
    p95: Callable[[str], float | None] = lambda model: None,
    recognize: Recognize = nobody,
    keep: Keep = no_content,
) -> None:
    """Answer the own Envoy until cancelled."""

    def record(body: Mapping[str, Any], content: bytes) -> Awaitable[None]:
        if agent.decided is None:
            raise NotRecorded("the key that signs records is not known yet")
        return agent.decided(body, content=content, sync=strict or may_leave(body))

    def master() -> bytes:
        keys = agent.world.keys
        return keys.engine_master if keys is not None else b""

    strict = agent.settings.audit_on_failure == "Refuse"
    deciding = Deciding(
        routes,
        labels,
        record,
        away=away,
        p95=p95,
        sign=Passes(master),
        withhold=withhold,
        recognize=recognize,
        keep=keep,
        failed=lambda target: agent.outages.came(target, FAILED),
        master=master,
        strict=strict,
    )
    try:
        async with serve(deciding, agent.settings.decide_socket):
            await asyncio.Event().wait()
    finally:
        deciding.close()
