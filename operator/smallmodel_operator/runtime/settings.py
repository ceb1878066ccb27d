"""Settings of the operator process, from the environment (`SLM_…`)."""

import json
import secrets
import socket
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from smallmodel_operator.api.names import OPERATOR, SYSTEM_NAMESPACE
from smallmodel_operator.api.v1alpha1.common import QuantityText
from smallmodel_operator.resolve import Site

_PROMETHEUS: Final = r"^(https?://[-A-Za-z0-9.:\[\]]+(/[-\w./]*[-\w])?)?$"
_LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
_LabelValue = Annotated[str, StringConstraints(pattern=r"^[-A-Za-z0-9_.:/]+$")]
_S3_ENDPOINT: Final = r"^(https://[-A-Za-z0-9.:\[\]]+(/[-\w./]*[-\w])?)?$"


def _identity() -> str:
    """Unlike any other process's, also on the same host: two with one name would both believe they lead."""
    return f"{socket.gethostname()}-{secrets.token_hex(3)}"


class Settings(BaseSettings):
    """Every setting, with its default. The chart sets them; `slm run` reads the same variables."""

    model_config = SettingsConfigDict(env_prefix="SLM_", extra="ignore")

    namespace: str = Field(SYSTEM_NAMESPACE, description="The operator's own namespace; its Lease lives there.")
    watch_namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Namespaces to serve, separated by commas; empty is all."
    )
    image: str = Field("smallmodel-operator:0.1.0", description="The operator's own image; its Jobs run it.")
    lease_name: str = Field(OPERATOR, description="Lease that says who leads.")
    identity: str = Field(
        default_factory=_identity, description="Name of this process in the Lease; no two may have the same."
    )
    http_port: int = Field(8081, ge=0, le=65535, description="/healthz, /readyz and /metrics; 0 for any free port.")
    log_format: Literal["json", "text"] = Field("text", description="Form of the log lines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    cluster_domain: str = Field("cluster.local", description="DNS domain of the cluster.")
    cluster_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Networks of pods and Services as CIDRs, separated by commas: no download goes there."
    )
    ca_config_map: str = Field("", description="ConfigMap in a model's namespace whose `ca.crt` downloads trust.")

    hub_endpoint: Annotated[str, StringConstraints(pattern=r"^https://[-A-Za-z0-9.:\[\]]+(/[-\w./]*[-\w])?$")] = Field(
        "https://huggingface.co", description="What hf:// means: the public hub, or a mirror with its HTTP API."
    )
    s3_endpoint: Annotated[str, StringConstraints(pattern=_S3_ENDPOINT)] = Field(
        "", description="What s3:// means: the address of an S3 store, asked by path (ENDPOINT/BUCKET/KEY)."
    )
    s3_region: Annotated[str, StringConstraints(pattern=r"^[-a-z0-9]{1,64}$")] = Field(
        "us-east-1", description="Its region, which is part of what is signed."
    )
    proxy: Annotated[str, StringConstraints(pattern=r"^(https?://[-A-Za-z0-9.:\[\]]+/?)?$")] = Field(
        "", description="Address downloads go through, without credentials in it; empty: none."
    )
    no_proxy: Annotated[str, StringConstraints(pattern=r"^[-\w.:,* \[\]]*$")] = Field(
        "", description="Hosts and domains that are reached without it, separated by commas."
    )

    image_volumes: Literal["Auto", "Never"] = Field(
        "Auto", description="Whether images of weights are mounted where the cluster can; Never: they are copied."
    )

    prometheus_url: Annotated[str, StringConstraints(pattern=_PROMETHEUS)] = Field(
        "", description="Prometheus that scrapes the gateways: objectives are followed by it; empty: by the gateways."
    )
    prometheus_scrape_seconds: int = Field(15, ge=5, le=30, description="Seconds between its scrapes of a gateway.")
    prometheus_match_labels: Annotated[dict[_LabelName, _LabelValue], NoDecode] = Field(
        {}, description="Labels the gateways' series there have to carry, as JSON."
    )
    prometheus_secret_dir: Path | None = Field(
        None, description="Folder that may hold `token` (a bearer token) and `ca.crt` for it."
    )

    gateway_tls: bool = Field(False, description="The gateway has a certificate: addresses begin with https.")
    gateway_ca: str = Field("", description="PEM bundle that clients need to trust that certificate.")
    gateway_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Base URLs of gateway agents, separated by commas; empty: found as pods of this namespace."
    )

    canary_seconds: int = Field(
        0, ge=0, le=86400, description="Seconds between runs of the boundary's canary, 60 or more; 0: it is off."
    )

    egress_image: str = Field("", description="Image of the egress (the gateway's); empty: there is no way out.")
    egress_authorities: str = Field(
        "", description="ConfigMap in the egress's namespace whose `ca.crt` says who declared hosts are."
    )

    recognizers: bool = Field(False, description="Gateways have a way to recognizers that are Services.")

    claim_size: QuantityText = Field("50Gi", description="Size of the claim for downloads, one in each namespace.")
    claim_storage_class: str = Field("", description="Its storage class; empty is the cluster's default.")
    claim_access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = Field(
        "ReadWriteOnce", description="Its access mode; ReadWriteMany where replicas run on several nodes."
    )

    claim_eviction: Literal["WhenFull", "Never"] = Field(
        "WhenFull", description="Whether weights that no model uses or may go back to make room for a download."
    )

    @field_validator("watch_namespaces", "gateway_urls", "cluster_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("cluster_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        networks = tuple(map(ip_network, value))  # a ValueError says which, and what is wrong
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("a network of every address leaves no download a way to its source")
        return tuple(map(str, networks))

    @field_validator("canary_seconds")
    @classmethod
    def _not_in_a_hurry(cls, value: int) -> int:
        if 0 < value < 60:
            raise ValueError("the canary runs each minute at most: 60 or more seconds, or 0 to switch it off")
        return value

    @field_validator("prometheus_match_labels", mode="before")
    @classmethod
    def _labels(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _egress_knows_whom(self) -> Self:
        if bool(self.egress_image) != bool(self.egress_authorities):
            raise ValueError("SLM_EGRESS_IMAGE and SLM_EGRESS_AUTHORITIES need each other: set both or none")
        return self

    @model_validator(mode="after")
    def _one_way_to_gateways(self) -> Self:
        if self.prometheus_url and self.gateway_urls:
            raise ValueError(
                "SLM_GATEWAY_URLS and SLM_PROMETHEUS_URL cannot be used together: Prometheus knows gateways by the "
                "names of their pods; leave one out"
            )
        return self

    @property
    def gateways(self) -> dict[str, str] | None:
        """Gateway agents by name, where they are told and not to be found."""
        return {url: url.rstrip("/") for url in self.gateway_urls} or None

    def site(self) -> Site:
        """What models need to know of this installation."""
        return Site(
            job_image=self.image,
            cluster_domain=self.cluster_domain,
            cluster_networks=self.cluster_networks,
            gateway_namespace=self.namespace,
            gateway_tls=self.gateway_tls,
            gateway_ca=self.gateway_ca,
            ca_config_map=self.ca_config_map,
            hub=self.hub_endpoint,
            store=self.s3_endpoint,
            store_region=self.s3_region,
            proxy=self.proxy,
            no_proxy=self.no_proxy,
            claim_size=self.claim_size,
            claim_storage_class=self.claim_storage_class,
            claim_access_mode=self.claim_access_mode,
            claim_eviction=self.claim_eviction,
        )
