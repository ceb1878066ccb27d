"""What keeps an image of weights from being pulled, from the kubelet's words: containerd's, with the registry's.

They are no interface, so a word that is not known is no error: it is passed on as it is. Pure.
"""

import re
from typing import Final

from smallmodel_operator.api.conditions import Reason

_CAUSES: Final = (
    # In this order: a registry that lies or is not trusted may name any status besides.
    (r"unexpected commit digest|digest mismatch|failed size validation", Reason.DIGEST_MISMATCH),
    (r"x509:|tls: |http: server gave HTTP response to HTTPS client", Reason.SOURCE_UNTRUSTED),
    (r"\b429 Too Many|toomanyrequests", Reason.SOURCE_RATE_LIMITED),
    (
        r"\b401 Unauthorized|authorization failed|pull access denied|no basic auth credentials",
        Reason.SOURCE_UNAUTHORIZED,
    ),
    (r"\b403 Forbidden", Reason.SOURCE_FORBIDDEN),
    (r"\b5\d\d [A-Z][a-z]", Reason.SOURCE_FAILING),
    (r"\b404 Not Found|: not found|manifest unknown|name unknown", Reason.SOURCE_NOT_FOUND),
    (
        r"connection refused|no such host|i/o timeout|no route to host|network is unreachable|connection reset"
        r"|handshake timeout|deadline exceeded|unexpected EOF|: EOF",
        Reason.SOURCE_UNREACHABLE,
    ),
)
_PATTERNS: Final = tuple((re.compile(words), reason) for words, reason in _CAUSES)
_WAYS: Final = {
    Reason.DIGEST_MISMATCH: "The registry sent other bytes than the digest in `spec.source.uri` names; nothing of them "
    "was used. Look for a broken mirror or cache on the way, or push the image again.",
    Reason.SOURCE_UNTRUSTED: "Have the node's container runtime trust the registry's authority, and speak to it "
    "as it does (HTTP or HTTPS).",
    Reason.SOURCE_RATE_LIMITED: "It is tried again; a mirror in the cluster, or a pull secret, spares the limit.",
    Reason.SOURCE_UNAUTHORIZED: "Put a pull secret for this registry into `imagePullSecrets` of the namespace's "
    "ServiceAccount `default`, and check the repository in `spec.source.uri`: some registries say the same of one that "
    "does not exist.",
    Reason.SOURCE_FORBIDDEN: "The registry knows who asks and refuses: give that account the right to pull "
    "the repository in `spec.source.uri`.",
    Reason.SOURCE_FAILING: "The registry has trouble of its own; it is tried again.",
    Reason.SOURCE_NOT_FOUND: "Check repository and digest in `spec.source.uri`: the registry has no such image, or had "
    "it removed.",
    Reason.SOURCE_UNREACHABLE: "Check that the registry in `spec.source.uri` runs and that the node reaches it; it is "
    "tried again.",
}
_ELSE: Final = "Check `spec.source.uri`, that the registry is reachable from the node, and the namespace's pull secret."


def reason_of(said: str) -> Reason:
    """The cause in what the kubelet says; ImagePullFailed where it names none that is known."""
    return next((reason for pattern, reason in _PATTERNS if pattern.search(said)), Reason.IMAGE_PULL_FAILED)


def way_out(reason: Reason) -> str:
    """What the user can do, in a sentence or two."""
    return _WAYS.get(reason, _ELSE)
