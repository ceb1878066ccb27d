"""SmallModel: a small language model, declared by its user and served inside the cluster."""

from typing import Annotated

from pydantic import Field, StringConstraints

from smallmodel_operator.api.v1alpha1.access import Access
from smallmodel_operator.api.v1alpha1.adapters import Adapter
from smallmodel_operator.api.v1alpha1.audit import Audit
from smallmodel_operator.api.v1alpha1.checks import Checks, Verification
from smallmodel_operator.api.v1alpha1.common import (
    ATOMIC,
    ApiModel,
    EngineName,
    ImageReference,
    NameReference,
    NodeSelector,
    QuantityText,
    Tolerations,
    list_map,
)
from smallmodel_operator.api.v1alpha1.quantization import Quantization
from smallmodel_operator.api.v1alpha1.scaling import Scaling
from smallmodel_operator.api.v1alpha1.smallmodel_status import SmallModelStatus


class Source(ApiModel):
    """Where the weights come from. One immutable set: a digest, a file with its SHA-256, or a path in a claim."""

    uri: str = Field(
        min_length=7,
        max_length=1024,
        description=(
            "`oci://registry/repository@sha256:…` (an image or artifact, mounted as an image volume; where the cluster "
            "has none, its files are copied into a claim once), "
            "`pvc://claim/path` (a path inside a PersistentVolumeClaim of this namespace), "
            "`hf://organisation/repository@commit[/path]` (a file or a folder of a model hub, downloaded once), "
            "`s3://bucket/key` (a file of the S3 store the operator was told of; needs `sha256`), or "
            "`https://host/model.gguf` (one GGUF file, downloaded once; needs `sha256`). What may move needs "
            "`allowMutable`."
        ),
    )
    path: str = Field(
        default="",
        max_length=512,
        description=(
            "The GGUF file inside the image, claim or repository; needed unless it holds one `*.gguf` only. With VLLM "
            "and TGI, and where a GGUF file is to be made: the folder with `config.json` and the safetensors files; "
            "needed unless that is all of it. With hf:// the same in the repository."
        ),
    )
    sha256: str = Field(
        default="",
        max_length=64,
        pattern=r"^([0-9a-f]{64})?$",
        description=(
            "SHA-256 of the file in hex. Required with https:// and s3://, unless `allowMutable` is true. With hf:// "
            "the hub's own is taken when it is left out, and stands in `status.weights.sha256`; a hub's folder is "
            "pinned by its commit, each file of it held to the hub's list. With pvc:// it is "
            "checked when the weights are inspected, once for each claim; not at every start of a pod."
        ),
    )
    credentials_secret_ref: NameReference | None = Field(
        default=None,
        description=(
            "Secret of this namespace with `token`, or `username` and `password`, for https:// and hf://; with "
            "`accessKeyId` and `secretAccessKey` for s3://. Only the download's pod sees it, and shows it to no other "
            "host than the source."
        ),
    )
    allow_mutable: bool = Field(
        default=False,
        description=(
            "The URI may name a branch (hf://), a tag (oci://) or a file without `sha256` (https://, s3://). What it "
            "holds when the model is applied is found out once and frozen in `status.source`; it stays until this part "
            "of the spec changes."
        ),
    )
    resolve_generation: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="With `allowMutable`: another number takes what the source holds now. Unset is 1.",
    )
    verification: Verification | None = Field(
        default=None,
        description=(
            "Serve nothing that is not signed: every file in the signed folder as it was signed, none more and none "
            "less. With oci:// and pvc://."
        ),
    )


class EnvironmentVariable(ApiModel):
    """One environment variable of the engine. Values are plain text; secrets do not belong here."""

    name: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Name.")
    value: str = Field(default="", max_length=4096, description="Value.")


class Engine(ApiModel):
    """The server inside the pod."""

    name: EngineName = Field(
        default="LlamaCpp",
        description=(
            "The engine. LlamaCpp serves one GGUF file; VLLM and TGI serve a folder of safetensors files and need a "
            "ComputeProfile with `accelerator`."
        ),
    )
    image: ImageReference | None = Field(
        default=None, description="Image of the engine. Unset takes the profile's, which is the usual case."
    )
    context_size: int | None = Field(
        default=None,
        ge=128,
        le=1048576,
        description=(
            "Tokens of context one request may use (prompt and answer). Unset: 4096, or the context the model was "
            "trained for where that is less. More than it was trained for is refused."
        ),
    )
    parallel_slots: int = Field(
        default=4, ge=1, le=256, description="Requests one replica works on at once; each slot has its own context."
    )
    args: list[Annotated[str, StringConstraints(min_length=1, max_length=512)]] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra=ATOMIC,
        description=(
            "Further arguments of the engine. Those the operator sets and those that open the server are refused."
        ),
    )
    env: list[EnvironmentVariable] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra=list_map("name"),
        description="Environment variables of the engine.",
    )


class ResourceAmounts(ApiModel):
    """CPU and memory."""

    cpu: QuantityText | None = Field(default=None, description="CPU, like `2` or `500m`.")
    memory: QuantityText | None = Field(default=None, description="Memory, like `2Gi`.")


class Resources(ApiModel):
    """What one replica asks for and may use at most."""

    requests: ResourceAmounts = Field(
        default_factory=ResourceAmounts,
        description="Reserved for a replica. Memory unset is derived from the weights' own header.",
    )
    limits: ResourceAmounts = Field(
        default_factory=ResourceAmounts,
        description="Never exceeded by a replica. Memory unset is the profile's `perReplica.memoryLimit`.",
    )


class Compute(ApiModel):
    """Where a replica runs and with how much."""

    profile_ref: NameReference = Field(
        default=NameReference(name="default"),
        description="The ComputeProfile (cluster-scoped) this model runs on.",
    )
    resources: Resources = Field(default_factory=Resources, description="Overrides of what the profile gives.")
    node_selector: NodeSelector = Field(default_factory=dict)
    tolerations: Tolerations = Field(default_factory=list)


class SmallModelSpec(ApiModel):
    """What the user declares."""

    source: Source = Field(description="Where the weights come from.")
    quantization: Quantization | None = Field(
        default=None, description="Of which type the weights may be. Unset: the source is served as it is."
    )
    checks: Checks = Field(default_factory=Checks, description="What is asked of the weights before they serve.")
    engine: Engine = Field(default_factory=Engine, description="The server inside the pod.")
    adapters: list[Adapter] = Field(
        default_factory=list,
        max_length=64,
        json_schema_extra=list_map("name"),
        description=(
            "LoRA adapters that the engine LlamaCpp loads beside the weights. Each request names one, or none: model "
            "`<name>:<adapter>`. The derived memory counts them."
        ),
    )
    compute: Compute = Field(default_factory=Compute, description="Where a replica runs and with how much.")
    scaling: Scaling = Field(default_factory=Scaling, description="Who decides how many replicas there are.")
    access: Access = Field(default_factory=Access, description="Who may call the model through the gateway.")
    audit: Audit = Field(default_factory=Audit, description="What the records of its answers hold.")
    replicas: int = Field(default=1, ge=0, le=100, description="Number of replicas. 0 switches the model off.")
    suspend: bool = Field(
        default=False, description="Switches the model off without forgetting `replicas`; never woken meanwhile."
    )


class SmallModel(ApiModel):
    """A small language model served inside the cluster, behind an OpenAI endpoint."""

    spec: SmallModelSpec = Field(description="What the user declares.")
    status: SmallModelStatus | None = Field(default=None, description="What the operator observed.")
