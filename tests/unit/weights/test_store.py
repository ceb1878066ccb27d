import pytest

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.weights import download


@pytest.mark.parametrize(
    ("status", "code", "reason", "says", "passing"),
    [
        (403, "SignatureDoesNotMatch", Reason.SOURCE_UNAUTHORIZED, "Correct them in the Secret", False),
        (400, "AuthorizationHeaderMalformed", Reason.SOURCE_UNAUTHORIZED, "downloads.s3.region", False),
        (403, "RequestTimeTooSkewed", Reason.SOURCE_UNAUTHORIZED, "clock", False),
        (403, "AccessDenied", Reason.SOURCE_FORBIDDEN, "s3:GetObject", False),
        (404, "NoSuchBucket", Reason.SOURCE_NOT_FOUND, "no such bucket", False),
        (404, "NoSuchKey", Reason.SOURCE_NOT_FOUND, "no such file", False),
        (503, "SlowDown", Reason.SOURCE_RATE_LIMITED, "too often", True),
        (500, "InternalError", Reason.SOURCE_FAILING, "answers 500", True),
    ],
)
def test_a_store_says_it_in_its_own_words(status: int, code: str, reason: Reason, says: str, passing: bool) -> None:
    failure = download.refused("s3.test", status, "No", 7, code)
    assert (failure.reason, failure.passing) == (reason, passing)
    assert failure.after_seconds == (7 if passing else 0)
    assert says in failure.message
    assert f"({code})" in failure.message
