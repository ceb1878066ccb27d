"""Why an image of weights cannot be pulled, from what containerd 2 says through the kubelet."""

import pytest

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.weights.pull import reason_of, way_out

AT = "127.0.0.1:5001/weights"
DIGEST = f"sha256:{'5' * 64}"
HEAD = f"unexpected status from HEAD request to http://{AT}/v2/weights/manifests/{DIGEST}"
RESOLVE = f'failed to pull and unpack image "{AT}@{DIGEST}": failed to resolve reference "{AT}@{DIGEST}"'
COPY = f'failed to pull and unpack image "{AT}@{DIGEST}": failed to copy: httpReadSeeker: failed open'


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (f"{RESOLVE}: {HEAD}: 401 Unauthorized", Reason.SOURCE_UNAUTHORIZED),
        (
            f"{RESOLVE}: pull access denied, repository does not exist or may require authorization: server message: "
            "insufficient_scope: authorization failed",
            Reason.SOURCE_UNAUTHORIZED,
        ),
        (f"{RESOLVE}: {HEAD}: 403 Forbidden", Reason.SOURCE_FORBIDDEN),
        (f"{RESOLVE}: {AT}@{DIGEST}: not found", Reason.SOURCE_NOT_FOUND),
        (f"{COPY}: content at http://{AT}/v2/weights/blobs/{DIGEST} not found: not found", Reason.SOURCE_NOT_FOUND),
        (
            f"{COPY}: unexpected status code http://{AT}: 429 Too Many Requests - Server message: toomanyrequests: "
            "You have reached your pull rate limit",
            Reason.SOURCE_RATE_LIMITED,
        ),
        (f"{RESOLVE}: {HEAD}: 500 Internal Server Error", Reason.SOURCE_FAILING),
        (f"{RESOLVE}: {HEAD}: 503 Service Unavailable", Reason.SOURCE_FAILING),
        (
            f'failed to pull and unpack image "{AT}": failed commit on ref "manifest-{DIGEST}": unexpected commit '
            f"digest sha256:{'6' * 64}, expected {DIGEST}: failed precondition",
            Reason.DIGEST_MISMATCH,
        ),
        (f"{RESOLVE}: failed to do request: Head: dial tcp: connect: connection refused", Reason.SOURCE_UNREACHABLE),
        (
            f"{RESOLVE}: failed to do request: Head: dial tcp: lookup registry.internal: no such host",
            Reason.SOURCE_UNREACHABLE,
        ),
        (f"{RESOLVE}: failed to do request: Head: dial tcp 10.0.0.1:443: i/o timeout", Reason.SOURCE_UNREACHABLE),
        (
            f"{RESOLVE}: failed to do request: Head: tls: failed to verify certificate: x509: certificate signed by "
            "unknown authority",
            Reason.SOURCE_UNTRUSTED,
        ),
        (f"{RESOLVE}: Head: tls: first record does not look like a TLS handshake", Reason.SOURCE_UNTRUSTED),
        (
            "failed to resolve image: pull access denied, repository does not exist or may require authorization: "
            "authorization failed: no basic auth credentials",
            Reason.SOURCE_UNAUTHORIZED,
        ),
        (f"{RESOLVE}: something new", Reason.IMAGE_PULL_FAILED),
        ("", Reason.IMAGE_PULL_FAILED),
    ],
)
def test_the_cause(said: str, reason: Reason) -> None:
    assert reason_of(said) is reason
    assert way_out(reason)


def test_figures_in_a_name_are_no_status() -> None:
    at = "registry.test/429/401/500/weights"
    assert reason_of(f'failed to resolve reference "{at}@{DIGEST}": connection refused') is Reason.SOURCE_UNREACHABLE
