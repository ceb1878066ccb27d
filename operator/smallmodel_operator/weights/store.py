"""What an S3 store means by its own words for an error (`<Code>` in its XML). Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.weights.result import Failure

_KEYS: Final = "it does not accept the keys. Correct them in the Secret of `spec.source.credentialsSecretRef`."
_REGION: Final = "the signature is for another region than the store's. Set the chart's value `downloads.s3.region`."
_MEANS: Final[Mapping[str, tuple[Reason, str]]] = MappingProxyType(
    {
        "SignatureDoesNotMatch": (Reason.SOURCE_UNAUTHORIZED, _KEYS),
        "InvalidAccessKeyId": (Reason.SOURCE_UNAUTHORIZED, _KEYS),
        "XAdminUserNotFound": (Reason.SOURCE_UNAUTHORIZED, _KEYS),  # versitygw, with 404
        "InvalidToken": (Reason.SOURCE_UNAUTHORIZED, _KEYS),
        "ExpiredToken": (
            Reason.SOURCE_UNAUTHORIZED,
            "the session has ended. Put a new `sessionToken` with its keys into the Secret of "
            "`spec.source.credentialsSecretRef`.",
        ),
        "AuthorizationHeaderMalformed": (Reason.SOURCE_UNAUTHORIZED, _REGION),
        "PermanentRedirect": (Reason.SOURCE_UNAUTHORIZED, _REGION),
        "RequestTimeTooSkewed": (
            Reason.SOURCE_UNAUTHORIZED,
            "the node's clock and the store's differ by more than a quarter of an hour. Set the one that is wrong.",
        ),
        "AccessDenied": (
            Reason.SOURCE_FORBIDDEN,
            "the keys (or nobody, where there are none) may not read it, or there is no such file and they may not "
            "list the bucket. Allow `s3:GetObject` on it, name keys in `spec.source.credentialsSecretRef`, or correct "
            "`spec.source.uri`.",
        ),
        "InvalidObjectState": (Reason.SOURCE_FORBIDDEN, "the file is archived. Restore it in the store first."),
        "NoSuchBucket": (Reason.SOURCE_NOT_FOUND, "there is no such bucket. Correct `spec.source.uri`."),
    }
)
_OFTEN: Final = frozenset({"SlowDown", "RequestLimitExceeded", "TooManyRequests"})


def refused(said: str, code: str, wait: int) -> Failure | None:
    """What it is; None for a word that is no store's, or tells no more than the status.

    Args:
        said: who answers what, as a message begins.
        code: the store's word.
        wait: seconds it asks for, 0 for none.
    """
    if code in _OFTEN:
        return Failure(Reason.SOURCE_RATE_LIMITED, f"{said}: it is asked too often.", passing=True, after_seconds=wait)
    if code not in _MEANS:
        return None
    reason, way = _MEANS[code]
    return Failure(reason, f"{said}: {way}")
