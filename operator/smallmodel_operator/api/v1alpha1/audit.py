"""spec.audit: what the records of a model or a route hold beyond what every record does."""

from typing import Literal

from pydantic import Field

from smallmodel_operator.api.v1alpha1.common import ApiModel


class Audit(ApiModel):
    """What is recorded of a request, besides what is of every request."""

    request_hmac: Literal["Enabled", "Disabled"] = Field(
        default="Disabled",
        alias="requestHMAC",
        description=(
            "`Enabled`: the record of each request to this model has an HMAC-SHA-256 of the body as the caller sent "
            "it, so that `slm audit match` can tell whether a given body is the one; no text is kept. It takes the "
            "gateway time (docs/reference/audit.md); of bodies over 64 KiB none is made, and the record says so."
        ),
    )
    key_generation: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description=(
            "Raise it to have the HMACs of requests made with a new key; it cannot be lowered. Models of a namespace "
            "with the same number share a key. Records made before are still checked with the key they name."
        ),
    )


class RouteAudit(ApiModel):
    """What is kept of a route's requests, besides what is of every request."""

    content: Literal["Disabled", "Redacted", "Full"] = Field(
        default="Disabled",
        description=(
            "`Redacted`: the texts of each request are kept beside its record, without what the detectors, `patterns` "
            "and `denyTerms` of the boundary find; `Full`: without secrets (keys, tokens, passwords) alone. They are "
            "encrypted under a key of whom the request is about: its `safety_identifier` or `user`, else its caller. "
            "`slm content erase` destroys that key. Answers are not kept."
        ),
    )
