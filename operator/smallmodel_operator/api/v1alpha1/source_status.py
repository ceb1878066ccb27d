"""What a status says of the source: what it was resolved to, and how far its download is."""

from pydantic import Field

from smallmodel_operator.api.v1alpha1.common import ApiModel


class SourceStatus(ApiModel):
    """What a source that may move held when it was resolved: written into the spec, it would be pinned."""

    decided_on: str = Field(default="", max_length=64, description="Hash of the part of `spec.source` it is of.")
    uri: str = Field(
        default="", max_length=2048, description="As it is taken, with the commit of a branch or the digest of a tag."
    )
    sha256: str = Field(
        default="", max_length=64, description="SHA-256 of the file; empty for an image, and for a hub's folder."
    )
    resolved_at: str = Field(default="", max_length=32, description="When it was resolved.")


class DownloadStatus(ApiModel):
    """How far the download of the weights is; there only while one runs, and rewritten every 5 % or 15 s."""

    done_bytes: int = Field(default=0, ge=0, description="Bytes that are in the claim.")
    total_bytes: int = Field(default=0, ge=0, description="Bytes of the file; 0 while the source does not tell.")
    percent: int = Field(default=0, ge=0, le=100, description="The one in percent of the other.")
    seconds_left: int | None = Field(
        default=None, ge=0, description="At the speed of the last half minute; absent when nothing can be said."
    )
    as_of: str = Field(default="", max_length=32, description="When this was so.")
