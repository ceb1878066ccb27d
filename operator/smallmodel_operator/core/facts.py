"""What is known about the world when a plan is made. Built by cluster/observe only; frozen; no clock of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from smallmodel_operator.api.names import LABEL_ROLE
from smallmodel_operator.core.budget import Budgeted
from smallmodel_operator.core.engine import GGUF
from smallmodel_operator.core.keys import Masters
from smallmodel_operator.core.scaling import Granted, Scaled, Stranger
from smallmodel_operator.core.traffic import Traffic
from smallmodel_operator.core.trial import Result

Object = Mapping[str, Any]
"""A Kubernetes object as plain JSON."""

ObjectKey = tuple[str, str]
"""(kind, name) inside the model's namespace."""

CHECKS: Final = 1
"""Number of the set of checks weights go through in this release. Those that went through fewer are looked at again."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this cluster can do, found out once at start."""

    version: str = "v1.36"
    image_volumes: bool = True
    admission_policies: bool = True


@dataclass(frozen=True, slots=True)
class WeightsFacts:
    """What an inspection found in a GGUF header. Sizes in bytes; `artifact` names the immutable set of files.

    `tensor_bytes` is the size of all tensors as stored. The per-layer numbers are what the memory estimate needs;
    a missing one is 0. `file` is the path inside the volume.
    """

    artifact: str
    file: str
    file_bytes: int
    tensor_bytes: int
    parameters: int
    quantization: str
    architecture: str
    context_length: int
    layers: int
    embedding: int
    heads: int
    heads_kv: int
    key_length: int
    value_length: int
    vocabulary: int
    feed_forward: int
    experts: int = 0
    licence: str = ""
    name: str = ""
    token_embedding_bytes: int = 0
    active_feed_forward: int = 0
    """Width of all the feed-forward networks a token passes in one layer, where a layer has several (experts)."""
    repacked_bytes: int = 0
    """Copies llama.cpp makes of tensors in a layout of the processor's own, on the node where the header was read."""
    copy_growth_bytes: int = 0
    """By how much copies for Intel's matrix unit (AMX) are larger than the tensors, wherever the header was read."""
    tokenizer_bytes: int = 0
    """What the engine's tokenizer takes in memory for this vocabulary."""
    sliding_window: int = 0
    sliding_layers: int = 0
    """So many layers look back on so many tokens only, in the architectures where llama.cpp keeps no more for them."""
    chat_template: str = ""
    """SHA-256 of the chat template in the header; empty when there is none."""
    claim: str = ""
    """uid of the claim the file lies in: another claim of that name does not hold it. Empty for an image."""
    checks: int = 0
    """Number of the set of checks they went through; 0 before there was one."""
    template_finding: str = ""
    """What a chat template does that none needs, and in which line; empty when there is nothing."""
    verified_with: str = ""
    """Secret and entry (`NAME/KEY`) of the public key the signature was right by; empty when none was asked for."""
    key_fingerprint: str = ""
    """SHA-256 of that public key (DER)."""
    sha256: str = ""
    """Of a downloaded file, as it was checked."""
    folder: str = ""
    """Of a downloaded file, in the claim `smallmodel-weights`."""
    format: str = GGUF
    """What they are stored as; `file` is the folder where they are several files."""
    mean_divergence: str = ""
    """Of a file that was made: what was measured against its parent (`quantization.gate.Figures`), as decimal text."""
    tail_divergence: str = ""
    same_top_percent: str = ""
    perplexity_ratio: str = ""


@dataclass(frozen=True, slots=True)
class Variant:
    """One file of a source that holds the same model in several types. Sizes in bytes, as in WeightsFacts."""

    type: str
    file: str
    tensor_bytes: int
    repacked_bytes: int
    copy_growth_bytes: int = 0

    @classmethod
    def of(cls, facts: WeightsFacts, file: str) -> "Variant":
        """A file whose facts are known."""
        return cls(facts.quantization, file, facts.tensor_bytes, facts.repacked_bytes, facts.copy_growth_bytes)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a source holds: the model's shape (`facts` are those of its largest file), and in which types.

    Where it holds safetensors in place of GGUF files, the facts are theirs, and there are no types.
    """

    facts: WeightsFacts
    variants: tuple[Variant, ...]
    makes: tuple[Variant, ...] = ()
    """Accepted types it lacks, as they would come out; `file` is empty."""
    parent: str = ""
    """What they would be made from: an unquantized GGUF file in the source, or a folder of safetensors."""
    digest: str = ""
    """Of the parent."""
    left_out: str = ""
    """A file that cannot be served, and why; empty when there is none."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is. Bytes; `total` is 0 while the source does not tell.

    `seconds_left` at the speed of the last half minute, None when nothing can be said. `reason` and `message` are set
    while nothing arrives.
    """

    done: int
    total: int
    seconds_left: int | None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Boundary:
    """What is declared of the boundary around a namespace, and what is known of it."""

    required: bool = False
    """No enforcement, no serving."""
    enforced: bool | None = None
    """What the canary found; None: it could not tell."""
    probed: bool = False
    """A run of the canary has ended since this process leads."""
    message: str = ""
    stopped: str = ""
    """Why gateways refuse what is asked there, and what undoes it; empty: inference is allowed."""
    denied: str = ""
    """Why nothing may leave the cluster from there, and what undoes it; empty: routes decide."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a plan may look at besides the model itself."""

    now: datetime
    capabilities: Capabilities = field(default_factory=Capabilities)
    profile: Object | None = None
    children: Mapping[ObjectKey, Object] = field(default_factory=dict)
    """Live objects that carry our owner's uid."""
    pods: tuple[Object, ...] = ()
    """Server pods and pods of the model's Jobs."""
    claims: Mapping[str, Object] = field(default_factory=dict)
    """PersistentVolumeClaims the source refers to, by name; absent means it does not exist."""
    inspected: Mapping[str, WeightsFacts] = field(default_factory=dict)
    """Facts already known in this namespace, by artifact, from this model's or a peer's status."""
    inspecting: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """artifact -> names of the peers that inspect or download it right now."""
    peer_pods: tuple[Object, ...] = ()
    """Pods of these peers: what keeps a Job from reading keeps whoever waits for it, too."""
    peer_progress: Mapping[str, Progress] = field(default_factory=dict)
    """How far a peer's download is, by its name, as its pod says; of those that ask another source than this model."""
    largest_node_memory: int | None = None
    """Allocatable bytes of the largest node; None when nodes may not be read, or nothing depends on it now."""
    freest_node_memory: int | None = None
    """Bytes free on the node with most; None when it is not known. Looked at only while a pod finds no node."""
    previous_status: Mapping[str, Any] = field(default_factory=dict)
    masters: Masters = field(default=Masters(b"", b""))
    """What keys are made of."""
    secrets: Mapping[str, Object | None] = field(default_factory=dict)
    """Secrets the model's user names, by name; None: there is none."""
    config_maps: Mapping[str, Object | None] = field(default_factory=dict, repr=False)
    """ConfigMaps the model's user names, by name; None: there is none."""
    traffic: Traffic = field(default=Traffic())
    """What the gateways say of the model."""
    boundary: Boundary = field(default=Boundary())
    in_use: frozenset[str] | None = None
    """Folders of the claim `smallmodel-weights` that models use or may go back to, while this one downloads."""
    pull_secrets: tuple[str, ...] = ()
    """Names of those that pods of the namespace pull images with, while a Job asks a registry."""
    progress: Progress | None = None
    """How far the download of the weights is, as its pod says."""
    trials: Mapping[str, Result] = field(default_factory=dict)
    """What trials of the model's pods came to, by key."""
    scaled: Scaled | None = None
    """What the controller of the model's objective last said; None: nothing yet, or it has no objective."""
    granted: Granted | None = None
    """What the model may have of a pool that does not hold everything; None: all it wants."""
    stranger: Stranger | None = None
    """Who else goes on writing the replicas of its Deployment."""
    budget: Budgeted | None = None
    """What its cost objective leaves of its limits; None: nothing was said yet, or it has none."""
    cost: Mapping[str, Any] | None = None
    """What the model has cost, as its status would say it; None: not known; empty: nobody says what nodes cost."""

    def child(self, kind: str, name: str) -> Object | None:
        return self.children.get((kind, name))

    def pods_of(self, role: str) -> tuple[Object, ...]:
        return tuple(p for p in self.pods if p["metadata"].get("labels", {}).get(LABEL_ROLE) == role)
