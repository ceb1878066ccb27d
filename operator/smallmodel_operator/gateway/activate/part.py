"""The activator as a part of the agent's process."""

from smallmodel_operator.gateway.activate.activator import Activator
from smallmodel_operator.gateway.agent import Agent


async def activate(agent: Agent) -> None:
    """Hold and wake for this agent, until cancelled. For `Agent.run(stop, parts=[activate])`."""

    def master() -> bytes:
        return agent.world.keys.engine_master if agent.world.keys else b""

    activator = Activator(agent, agent.settings.agent_socket, agent.settings.gateway_activator_port, master)
    agent.held = activator.held
    await activator.run()
