"""What a held request is told when it is not let go: OpenAI error objects that say why and what helps. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from smallmodel_operator.gateway.activate.queue import Outcome

CODES: Final = {
    Outcome.GONE: "model_not_found", Outcome.OFF: "model_off", Outcome.STOPPED: "inference_stopped",
    Outcome.BUDGET: "budget_exhausted",
}  # fmt: skip
"""Where the cause is not the code: those Envoy's Lua gives for the same, see target.lua."""
OWNERS: Final = (Outcome.OFF, Outcome.STALLED, Outcome.STOPPED)
"""Where asking again helps only after the model's owner, or an administrator, did something."""
TYPES: Final = {Outcome.GONE: "invalid_request_error", Outcome.BUDGET: "insufficient_quota"}
STATUS: Final = {Outcome.GONE: 404, Outcome.ENDING: 502, Outcome.BUDGET: 429}
"""Where it is not 503."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


FULL: Final = ", for the nodes are full and other models hold the room"
"""Which ones, who asks need not be allowed to read."""


def refusal(
    outcome: Outcome, target: str, retry_after: int, waited: float = 0.0, why: str = "", *, full: bool = False
) -> Refusal:
    """The answer for an outcome that is a refusal; `retry_after` and `waited` in seconds, `why` the model stalls (one
    word: who asks need not be allowed to read the rest), `full`: it waits for room on the nodes."""
    namespace, _, name = target.partition("/")
    status = STATUS.get(outcome, 503)
    message = {
        Outcome.GONE: f"There is no model '{name}' in namespace {namespace} any more.",
        # As in target.lua: it may be stopped or switched off before a request comes, or while one is held.
        Outcome.STOPPED: (
            f"An administrator has stopped inference with model {target}: requests are refused, and none is held, "
            "until it is allowed again. Ask those who run this cluster (slm boundary status says why, slm boundary "
            "unseal undoes it)."
        ),
        Outcome.OFF: (
            f"Model {target} is switched off and not woken by requests: it is suspended (spec.suspend: false resumes "
            "it) or has no replicas (spec.replicas: 1 starts it)."
        ),
        Outcome.BUDGET: (
            f"The budget of model {target} for this month is used up: requests are refused until the next one. Its "
            "owner can raise spec.scaling.objectives.cost.monthlyBudget."
        ),
        Outcome.STALLED: (
            f"model {target!r} cannot start until somebody acts{f' ({why})' if why else ''}; what is wrong says "
            f"kubectl -n {namespace} describe smallmodel {name}"
        ),
        Outcome.ENDING: (
            f"every engine of model {target!r} that got this request ended before it answered it, so it is sent to no "
            "further one; send it in another form (shorter, without images or a schema), and tell the model's owner: "
            f"kubectl -n {namespace} logs -l smallmodel.dev/model={name} --previous says why they end"
        ),
        Outcome.EXPIRED: (
            f"model {target!r} was not ready after {waited:.0f} s, the longest a request waits for it "
            f"(scaling.coldStart.maxWaitSeconds){FULL if full else ''}; try again in {retry_after} s"
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
        "type": TYPES.get(outcome, "server_error"),
        "param": "model" if status == 404 else None,
        "code": CODES.get(outcome, outcome.value.replace("-", "_")),
    }
    headers = {"Content-Type": "application/json", "x-slm-cause": outcome.value}
    if status == 503 and outcome not in OWNERS:
        headers["Retry-After"] = str(retry_after)
    elif status >= 500 or status == 429:
        headers["x-should-retry"] = "false"  # OpenAI's clients would send it twice more
    return Refusal(status, headers, json.dumps({"error": error}).encode())
