"""status.weights: what the weights are, and what they were before."""

from pydantic import Field

from smallmodel_operator.api.v1alpha1.common import ApiModel


class PreviousWeights(ApiModel):
    """Weights the model served before."""

    artifact: str = Field(default="", max_length=128, description="Name of the immutable set of files.")
    folder: str = Field(default="", max_length=128, description="Its folder in the claim `smallmodel-weights`.")


class WeightsStatus(ApiModel):
    """What the weights are, read from their own header."""

    artifact: str = Field(default="", max_length=128, description="Name of the immutable set of files.")
    digest: str = Field(default="", max_length=128, description="Digest of the artifact, where it has one.")
    file: str = Field(default="", max_length=512, description="GGUF file inside the volume.")
    sha256: str = Field(
        default="", max_length=64, description="SHA-256 of a downloaded file; the same one is asked for ever after."
    )
    file_bytes: int = Field(default=0, ge=0, description="Size of the file in bytes.")
    tensor_bytes: int = Field(default=0, ge=0, description="Size of all tensors as stored, in bytes.")
    format: str = Field(default="", max_length=32, description="File format.")
    quantization: str = Field(default="", max_length=32, description="Type of most of the tensors.")
    parameters: int = Field(default=0, ge=0, description="Number of parameters.")
    architecture: str = Field(default="", max_length=64, description="Architecture named in the header.")
    context_length: int = Field(default=0, ge=0, description="Context the model was trained for, in tokens.")
    layers: int = Field(default=0, ge=0, description="Number of layers.")
    embedding: int = Field(default=0, ge=0, description="Width of an embedding.")
    heads: int = Field(default=0, ge=0, description="Attention heads.")
    heads_kv: int = Field(default=0, ge=0, description="Attention heads of keys and values.")
    key_length: int = Field(default=0, ge=0, description="Width of one head's key.")
    value_length: int = Field(default=0, ge=0, description="Width of one head's value.")
    vocabulary: int = Field(default=0, ge=0, description="Number of tokens in the vocabulary.")
    feed_forward: int = Field(default=0, ge=0, description="Width of the feed-forward layer.")
    experts: int = Field(default=0, ge=0, description="Number of experts; 0 for a dense model.")
    token_embedding_bytes: int = Field(default=0, ge=0, description="Size of the token embedding tensor in bytes.")
    active_feed_forward: int = Field(
        default=0, ge=0, description="Width of all feed-forward networks a token passes in one layer; 0 if it is one."
    )
    repacked_bytes: int = Field(
        default=0, ge=0, description="Copies the engine makes of tensors in a layout of the processor, in bytes."
    )
    copy_growth_bytes: int = Field(
        default=0, ge=0, description="By how much such copies are larger than the tensors on processors with AMX."
    )
    tokenizer_bytes: int = Field(default=0, ge=0, description="Memory of the engine's tokenizer tables, in bytes.")
    sliding_window: int = Field(default=0, ge=0, description="Tokens that a layer of sliding-window attention keeps.")
    sliding_layers: int = Field(default=0, ge=0, description="Number of such layers.")
    mean_divergence: str = Field(
        default="",
        max_length=32,
        description="Of a made file, against its parent: mean Kullback-Leibler divergence of a token, in nats.",
    )
    tail_divergence: str = Field(
        default="", max_length=32, description="Of a made file: what 99.9 % of the tokens' divergences stay below."
    )
    same_top_percent: str = Field(
        default="", max_length=32, description="Of a made file: how often both find the same token likeliest."
    )
    perplexity_ratio: str = Field(
        default="", max_length=32, description="Of a made file: its perplexity over its parent's."
    )
    claim: str = Field(default="", max_length=64, description="uid of the claim the file lies in.")
    folder: str = Field(
        default="", max_length=128, description="Folder of a downloaded or made file in the claim `smallmodel-weights`."
    )
    previous: PreviousWeights | None = Field(
        default=None, description="What the model served before: kept in the claim, so that it can go back."
    )
    chat_template: str = Field(
        default="", max_length=64, description="SHA-256 of the chat template in the header; empty when not known."
    )
    checks: int = Field(default=0, ge=0, description="Number of the set of checks the weights went through.")
    template_finding: str = Field(
        default="", max_length=512, description="What a chat template does that none needs, and in which line."
    )
    verified_with: str = Field(
        default="", max_length=512, description="Secret and entry of the key the signature was right by."
    )
    key_fingerprint: str = Field(default="", max_length=64, description="SHA-256 of that public key (DER).")
    licence: str = Field(default="", max_length=256, description="Licence named in the header.")
    name: str = Field(default="", max_length=256, description="Name in the header.")
