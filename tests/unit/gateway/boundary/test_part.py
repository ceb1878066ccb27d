"""What the part that enforces the boundary tells those who may not know everything."""

from types import SimpleNamespace
from typing import cast

from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.gateway.agent import Agent
from smallmodel_operator.gateway.boundary.force import InForce
from smallmodel_operator.gateway.boundary.part import Enforcer


def test_why_something_is_stopped_is_not_told_at_readyz() -> None:
    """Every pod may read it where metrics are collected."""
    stopped = Boundary("u", 3, stopped=True, reason="ticket 4711, j.doe", namespaces={"crm": "customer data"})
    agent = SimpleNamespace(troubles=[], in_force=InForce(stopped, "2026-11-21T14:00:00.000Z"))
    Enforcer(cast(Agent, agent))
    said = " ".join(trouble() for trouble in agent.troubles)
    assert "inference is stopped in the whole cluster, in namespace crm" in said
    for secret in ("4711", "j.doe", "customer data"):
        assert secret not in said
