"""Settings of a gateway's agent, from the environment (`SLM_…`)."""

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from smallmodel_operator.api.names import SYSTEM_NAMESPACE


class GatewaySettings(BaseSettings):
    """Every setting, with its default. The chart sets them for all containers of a gateway pod alike."""

    model_config = SettingsConfigDict(env_prefix="SLM_", extra="ignore")

    gateway_dir: Path = Field(
        Path("/run/smallmodel"), description="Folder in memory: bootstrap.json, xds/, admin.sock, agent.sock, xds.sock."
    )
    gateway_data_dir: Path = Field(
        Path("/var/lib/smallmodel"), description="Folder that stays: the access log, records."
    )
    namespace: str = Field(SYSTEM_NAMESPACE, description="The gateway's own namespace; its Secret lives there.")
    watch_namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Namespaces whose models are served, separated by commas; empty is all."
    )
    identity: str = Field(default_factory=socket.gethostname, description="Name of this gateway's pod.")
    pod_ip: str = Field("127.0.0.1", description="Address of this gateway's pod.")
    cluster_domain: str = Field("cluster.local", description="DNS domain of the cluster.")
    gateway_tls: bool = Field(False, description="Serve https too: the TLS Secret is mounted.")
    gateway_http_port: int = Field(
        10091, ge=0, le=65535, description="/healthz, /readyz, /metrics, /signals and /usage; 0 for any free port."
    )
    gateway_activator_port: int = Field(
        10090, ge=0, le=65535, description="The activator, for the other gateways; 0 for any free port."
    )
    gateway_envoy_memory: int = Field(
        1 << 30, gt=0, description="Bytes Envoy may use; it refuses requests before its container is killed for memory."
    )
    gateway_relist_seconds: float = Field(
        60.0, gt=0, le=3600, description="Everything watched is also listed again this often."
    )
    gateway_drain_seconds: float = Field(
        25.0, ge=0, le=3600, description="When asked to stop, how long to serve an Envoy that still has requests."
    )
    audit_on_failure: Literal["Continue", "Refuse"] = Field(
        "Continue", description="What happens to requests while they cannot be recorded: served, or refused with 503."
    )
    audit_retention_days: int = Field(
        400, ge=1, le=36500, description="Records are removed when they are so old, at most a day later."
    )
    audit_max_mebibytes: int = Field(
        512, ge=32, description="MiB of the claim for records; the oldest are removed beyond it, whatever their age."
    )
    log_format: Literal["json", "text"] = Field("text", description="Form of the log lines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")

    @field_validator("watch_namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def admin_socket(self) -> Path:
        """Envoy's admin interface."""
        return self.gateway_dir / "admin.sock"

    @property
    def agent_socket(self) -> Path:
        """The activator, for the own Envoy."""
        return self.gateway_dir / "agent.sock"

    @property
    def refuse_file(self) -> Path:
        """Says Envoy to refuse requests, where `audit_on_failure` is Refuse."""
        return self.gateway_dir / "refuse"

    @property
    def cut_file(self) -> Path:
        """Says Envoy to cut everything that runs."""
        return self.gateway_dir / "cut"

    @property
    def audit_dir(self) -> Path:
        """Segments and head of this gateway's chain of records."""
        return self.gateway_data_dir / "audit"

    @property
    def decide_socket(self) -> Path:
        """Decisions on requests of routes, for the own Envoy."""
        return self.gateway_dir / "decide.sock"

    @property
    def xds_socket(self) -> Path:
        """The agent's endpoint discovery, for the own Envoy."""
        return self.gateway_dir / "xds.sock"
