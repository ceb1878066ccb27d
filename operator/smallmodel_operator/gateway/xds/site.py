"""Where one gateway listens and keeps its files. Values only."""

from dataclasses import dataclass
from pathlib import Path

from smallmodel_operator.api.names import GATEWAY


@dataclass(frozen=True, slots=True)
class Site:
    """Folders, ports and times of one gateway pod; the defaults are those of the chart."""

    folder: Path = Path("/run/smallmodel")
    """In memory: bootstrap.json, xds/, admin.sock, agent.sock, decide.sock, instead.sock, judged.sock,
    xds.sock."""
    data: Path = Path("/var/lib/smallmodel")
    """Kept: access.log."""
    certificates: Path = Path("/etc/smallmodel/tls")
    """tls.crt and tls.key, as a Secret of type kubernetes.io/tls is mounted."""
    bodies: Path = Path("/usr/local/lib/smallmodel/bodies.so")
    """The filter compiled from operator/bodies; part of the image."""
    pod: str = GATEWAY
    address: str = "0.0.0.0"  # noqa: S104 - a pod serves on all its addresses
    http_port: int = 10080
    https_port: int = 10443
    activator_port: int = 10090
    """Where the other gateways' activators listen."""
    memory: int = 1 << 30
    """Bytes Envoy may use: beyond them its container is killed, with everybody's streams."""
    silence: float = 300.0
    """Seconds an engine may say nothing before the caller gets 504; a held request may wait its maxWait longer."""

    refuse: bool = False
    """Requests are refused while the file `refuse` says so: where they must not be served without a record."""

    @property
    def refuse_file(self) -> str:
        return str(self.folder / "refuse")

    @property
    def cut_file(self) -> str:
        """While it says 1 everything that runs is cut."""
        return str(self.folder / "cut")

    @property
    def admin_socket(self) -> str:
        return str(self.folder / "admin.sock")

    @property
    def agent_socket(self) -> str:
        return str(self.folder / "agent.sock")

    @property
    def decide_socket(self) -> str:
        """Where the agent is asked where a request of a route may go."""
        return str(self.folder / "decide.sock")

    @property
    def instead_socket(self) -> str:
        """Where a request that failed outside comes back in."""
        return str(self.folder / "instead.sock")

    @property
    def judged_socket(self) -> str:
        """Where a request goes whose answer is judged."""
        return str(self.folder / "judged.sock")

    @property
    def xds_socket(self) -> str:
        return str(self.folder / "xds.sock")
