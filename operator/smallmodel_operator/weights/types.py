"""What the weights concern needs to be told, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from smallmodel_operator.core.engine import GGUF
from smallmodel_operator.core.facts import Object, WeightsFacts
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Part
from smallmodel_operator.weights.moving import Wish
from smallmodel_operator.weights.recipe import Conversion, Recipe

HUB: Final = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class WeightsRequest:
    """One model's wish about weights. Built by control from the resolved spec and the operator's settings.

    `memory_declared`: the user gave a memory request, so nothing has to wait for an inspection.
    `verification`: Secret and entry (`NAME/KEY`) of the public key the weights must be signed by, or empty.
    `enforce_template`: a chat template with a finding is not served, unless its SHA-256 is in `allowed_templates`;
    `wait_for_template`: nor does a pod of declared memory start before it was looked at.
    `ca_config_map`: ConfigMap in the model's namespace whose `ca.crt` the download trusts, too. `credentials`: Secret
    there for the source. `hub`: endpoint that hf:// means; `store` and `store_region`: those of s3://. `proxy`:
    address downloads go through, but for hosts that `no_proxy` names (as in the environment variable of that name).
    `survey`: find out in which types the source holds the model; `file`: the one of them to serve, in place of `path`.
    `accept`: types a survey says of how they would come out; `recipe`: the file is made, from what the source holds.
    `conversion`: what is meant is not the source itself but the GGUF file that is made of it. `convertible`: where a
    hub's repository holds no GGUF file, its folder of safetensors is fetched, for one can be made of it.
    `claim_size`, `storage_class`, `access_mode` shape the claim for downloads; an empty class is the cluster's default.
    `eviction`: WhenFull or Never, whether unused weights in it make room.
    `image_volumes`: nodes can mount an image.
    `allow_mutable`: the source may be one that moves; `frozen` is then what it held when it was resolved
    (`status.source`), and `resolve_generation` is raised to resolve it anew.
    """

    name: str
    namespace: str
    uri: str
    path: str
    sha256: str
    job_image: str
    memory_declared: bool
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    ca_config_map: str = ""
    credentials: str = ""
    hub: str = HUB
    store: str = ""
    store_region: str = "us-east-1"
    proxy: str = ""
    no_proxy: str = ""
    claim_size: str = "50Gi"
    storage_class: str = ""
    access_mode: str = "ReadWriteOnce"
    eviction: str = "WhenFull"
    verification: str = ""
    enforce_template: bool = True
    wait_for_template: bool = False
    allowed_templates: tuple[str, ...] = ()
    allowed_architectures: tuple[str, ...] = ()
    survey: bool = False
    file: str = ""
    accept: tuple[str, ...] = ()
    recipe: Recipe | None = None
    allow_mutable: bool = False
    resolve_generation: int = 1
    frozen: Mapping[str, Any] = field(default_factory=dict)
    conversion: Conversion | None = None
    convertible: bool = False
    image_volumes: bool = True
    format: str = GGUF
    """What the engine serves: one GGUF file, or a folder of safetensors files."""

    @property
    def wish(self) -> Wish:
        """Which file is meant."""
        return Wish(self.uri, self.path, self.sha256, self.allow_mutable, self.resolve_generation, self.frozen)


@dataclass(frozen=True, slots=True)
class WeightsVerdict:
    """Whether a pod can read the weights, and how.

    `part` is planned whatever the verdict is. `blocking`: the server must not be planned anew before `problem` is
    gone. `problem` is a value, not raised here, because the part (the inspection Job) must be planned beside it;
    it is None exactly when WeightsReady is True. `model_path` is the file inside the server's container, empty
    while it is unknown. `look`: the Job that found it; who refuses what it found plans it on, or it is done again.
    """

    part: Part
    facts: WeightsFacts | None
    volume: Mapping[str, Any]
    mount: Mapping[str, Any]
    model_path: str
    artifact: str
    blocking: bool
    problem: Refused | NotYet | None
    look: tuple[Object, ...] = ()
