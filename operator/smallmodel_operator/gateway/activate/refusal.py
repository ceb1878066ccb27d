"""What a held request is told when it is not let go: OpenAI error objects that say why and what helps. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from smallmodel_operator.gateway.activate.queue import Outcome


@dataclass(frozen=True, slots=True)
class Refusal:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def refusal(outcome: Outcome, target: str, retry_after: int, waited: float = 0.0, why: str = "") -> Refusal:
    """The answer for an outcome that is a refusal; `retry_after` and `waited` in seconds, `why` the model stalls."""
    namespace, _, name = target.partition("/")
    status = 404 if outcome is Outcome.GONE else 503
    message = {
        Outcome.GONE: f"model {name!r} does not exist in namespace {namespace!r}",
        Outcome.OFF: (
            f"model {target!r} is switched off: its owner suspended it (spec.suspend: false resumes it) "
            f"or set spec.replicas to 0; see kubectl -n {namespace} get smallmodel {name}"
        ),
        Outcome.STALLED: (
            f"model {target!r} cannot start until its owner acts; {why or 'its condition Stalled says why'} "
            f"(kubectl -n {namespace} get smallmodel {name})"
        ),
        Outcome.EXPIRED: (
            f"model {target!r} was not ready after {waited:.0f} s, the longest a request waits for it "
            f"(scaling.coldStart.maxWaitSeconds); try again in {retry_after} s"
        ),
        Outcome.QUEUE_FULL: (
            f"model {target!r} is starting and as many requests wait for it as may "
            f"(scaling.coldStart.maxQueuedRequests); try again in {retry_after} s"
        ),
        Outcome.GATEWAY_FULL: (
            f"model {target!r} is starting and this gateway holds as many waiting requests as it can; "
            f"try again in {retry_after} s"
        ),
    }[outcome]
    error = {
        "message": message,
        "type": "invalid_request_error" if status == 404 else "server_error",
        "param": "model" if status == 404 else None,
        "code": outcome.value.replace("-", "_"),
    }
    headers = {"Content-Type": "application/json", "x-slm-cause": outcome.value}
    if status == 503 and outcome is not Outcome.OFF:
        headers["Retry-After"] = str(retry_after)
    return Refusal(status, headers, json.dumps({"error": error}).encode())
