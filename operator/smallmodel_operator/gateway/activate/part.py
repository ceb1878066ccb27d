"""The activator as a part of the agent's process."""

from smallmodel_operator.gateway.activate.activator import Activator
from smallmodel_operator.gateway.agent import Agent


async def activate(agent: Agent) -> None:
    """Hold and wake for this agent, until cancelled. For `Agent.run(stop, parts=[activate])`."""
    activator = Activator(agent, agent.settings.agent_socket, agent.settings.gateway_activator_port)
    agent.held = activator.held
    await activator.run()
