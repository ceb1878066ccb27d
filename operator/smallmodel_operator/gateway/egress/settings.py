"""Settings of the egress's checker, from the environment (`SLM_EGRESS_…`); the pod's objects set them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from smallmodel_operator.api.names import EGRESS_HTTP_PORT
from smallmodel_operator.gateway.egress.site import EgressSite

_Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class EgressSettings(BaseSettings):
    """Every setting, with its default."""

    model_config = SettingsConfigDict(env_prefix="SLM_EGRESS_", extra="ignore")

    dir: Path = Field(Path("/run/smallmodel"), description="Folder in memory: bootstrap.json, admin.sock, check.sock.")
    hosts: Path = Field(Path("/etc/smallmodel/hosts/hosts.json"), description="File with the declared hosts.")
    keys: Annotated[tuple[_Key, ...], NoDecode] = Field(
        description="Public keys of the gateways that sign passes, separated by commas."
    )
    http_port: int = Field(
        EGRESS_HTTP_PORT, ge=0, le=65535, description="/healthz, /readyz and /metrics; 0 for any free port."
    )
    envoy_memory: int = Field(256 << 20, gt=0, description="Bytes Envoy may use.")
    log_format: Literal["json", "text"] = Field("json", description="Form of the log lines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")

    @field_validator("keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("keys")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("give at least one public key, or no pass could count")
        return value

    @property
    def site(self) -> EgressSite:
        return EgressSite(folder=self.dir, memory=self.envoy_memory)
