"""Every condition and reason the operator may report, declared once.

The reference page and a test are generated from these tables; a reason that is not here cannot be written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from smallmodel_operator.api.canary_reasons import CANARY_REASONS
from smallmodel_operator.api.outside_reasons import OUTSIDE_REASONS
from smallmodel_operator.api.pod_reasons import POD_REASONS
from smallmodel_operator.api.quality_reasons import QUALITY_REASONS
from smallmodel_operator.api.scaling_reasons import SCALING_REASONS


class Condition(StrEnum):
    """Condition types of a SmallModel. `Ready`, `Reconciling` and `Stalled` follow kstatus."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    WEIGHTS_READY = "WeightsReady"
    QUANTIZED = "Quantized"
    FITS_MEMORY = "FitsMemory"
    AVAILABLE = "Available"
    ROUTABLE = "Routable"
    NO_ROOM_FOR_SURGE = "NoRoomForSurge"
    CALIBRATED = "Calibrated"
    QUALITY_MET = "QualityMet"
    SCALING_ACTIVE = "ScalingActive"
    LATENCY_OBJECTIVE_MET = "LatencyObjectiveMet"
    COST_OBJECTIVE_MET = "CostObjectiveMet"
    BOUNDARY_ENFORCED = "BoundaryEnforced"
    CLASSIFIER_READY = "ClassifierReady"
    BUDGET_AVAILABLE = "BudgetAvailable"

    @property
    def meaning(self) -> str:
        return MEANINGS[self]


class Reason(StrEnum):
    """Reasons, stable and part of the API; REASONS says what each means and who must act."""

    # good
    SERVING = "Serving"
    INSPECTED = "Inspected"
    DECLARED = "Declared"  # memory request given by the user, nothing derived
    FITS = "Fits"
    TYPE_CHOSEN = "TypeChosen"
    SETTLED = "Settled"
    ASLEEP = "Asleep"  # no replica, because nobody asks; a request wakes it
    WAKING = "Waking"
    ROUTED = "Routed"
    MEASURED = "Measured"
    GOLDEN_PASSED = "GoldenPassed"
    CLASSIFIER_READ = "ClassifierRead"
    BUDGET_LEFT = "BudgetLeft"
    BUDGET_LOW = "BudgetLow"
    CALLERS_EXHAUSTED = "CallersExhausted"
    FOLLOWING = "FollowingObjective"
    EXTERNAL_SCALER = "ExternalScaler"
    OBJECTIVE_MET = "ObjectiveMet"
    WITHIN_COST = "WithinCost"
    BUDGET_LIMITED = "BudgetLimited"
    # off by the user's wish
    SUSPENDED = "Suspended"
    SCALED_TO_ZERO = "ScaledToZero"
    INFERENCE_STOPPED = "InferenceStopped"  # by an administrator; the pods stay
    # under way
    PROGRESSING = "Progressing"
    INSPECTING = "Inspecting"
    DOWNLOADING = "Downloading"
    MAKING_ROOM = "MakingRoom"
    QUANTIZING = "Quantizing"
    STARTING = "Starting"
    ROLLING_OUT = "RollingOut"
    GATEWAY_SYNCING = "GatewaySyncing"
    GATEWAY_SILENT = "GatewaySilent"
    REPLACING_IN_PLACE = "ReplacingInPlace"
    CALIBRATION_PENDING = "CalibrationPending"
    ASKING_GOLDEN = "AskingGolden"
    SIGNALS_PENDING = "SignalsPending"
    EXTERNAL_SCALER_SILENT = "ExternalScalerSilent"
    SIGNALS_MISSING = "SignalsMissing"
    FEW_ANSWERS = "FewAnswers"
    FEW_TOKENS = "FewTokens"
    SPEND_PENDING = "SpendPending"
    RETRYING = "Retrying"  # an outage; the operator tries again by itself
    # the user must change something
    INVALID_SPEC = "InvalidSpec"
    NAME_TAKEN = "NameTaken"
    FEATURE_MISSING = "FeatureMissing"
    PROFILE_NOT_FOUND = "ProfileNotFound"
    ENGINE_NOT_IN_PROFILE = "EngineNotInProfile"
    CLAIM_NOT_FOUND = "ClaimNotFound"
    CLAIM_DELETED = "ClaimDeleted"
    WEIGHTS_INVALID = "WeightsInvalid"
    WEIGHTS_NOT_FOUND = "WeightsNotFound"
    WEIGHTS_AMBIGUOUS = "WeightsAmbiguous"
    DIGEST_MISMATCH = "DigestMismatch"
    UNSAFE_FORMAT = "UnsafeFormat"
    UNSAFE_TEMPLATE = "UnsafeTemplate"
    ARCHITECTURE_UNKNOWN = "ArchitectureUnknown"
    SIGNATURE_MISSING = "SignatureMissing"
    SIGNATURE_INVALID = "SignatureInvalid"
    SIGNING_KEY_MISMATCH = "SigningKeyMismatch"
    SIGNED_FILE_CHANGED = "SignedFileChanged"
    SIGNED_FILE_MISSING = "SignedFileMissing"
    FILE_NOT_SIGNED = "FileNotSigned"
    DOWNLOAD_FAILED = "DownloadFailed"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    SOURCE_UNTRUSTED = "SourceUntrusted"
    SOURCE_UNAUTHORIZED = "SourceUnauthorized"
    SOURCE_FORBIDDEN = "SourceForbidden"
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_RATE_LIMITED = "SourceRateLimited"
    SOURCE_FAILING = "SourceFailing"
    SOURCE_STALLED = "SourceStalled"
    CLAIM_FULL = "ClaimFull"
    INSPECTION_FAILED = "InspectionFailed"
    TYPE_MISSING = "TypeMissing"
    QUANTIZATION_FAILED = "QuantizationFailed"
    IMPORTANCE_MATRIX_FAILED = "ImportanceMatrixFailed"
    QUALITY_TOO_LOW = "QualityTooLow"
    DOES_NOT_FIT = "DoesNotFit"
    GATEWAY_MISSING = "GatewayMissing"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason
    SECRET_INVALID = "SecretInvalid"  # noqa: S105
    QUOTA_EXCEEDED = "QuotaExceeded"
    FORBIDDEN = "Forbidden"
    CONFLICTING_SCALER = "ConflictingScaler"
    CALIBRATION_FAILED = "CalibrationFailed"
    GOLDEN_NOT_FOUND = "GoldenNotFound"
    GOLDEN_INVALID = "GoldenInvalid"
    GOLDEN_FAILED = "GoldenFailed"
    GOLDEN_INCONCLUSIVE = "GoldenInconclusive"
    GOLDEN_UNANSWERED = "GoldenUnanswered"
    QUALITY_DEGRADED = "QualityDegraded"
    REPLICAS_EXHAUSTED = "ReplicasExhausted"
    POOL_FULL = "PoolFull"
    OBJECTIVE_MISSED = "ObjectiveMissed"
    OBJECTIVE_INFEASIBLE = "ObjectiveInfeasible"
    COST_INFEASIBLE = "CostInfeasible"
    TOKENS_TOO_DEAR = "TokensTooDear"
    BUDGET_AT_RISK = "BudgetAtRisk"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    PRICE_MISSING = "PriceMissing"
    CURRENCY_MISMATCH = "CurrencyMismatch"
    BOUNDARY_NOT_ENFORCED = "BoundaryNotEnforced"
    TARGET_NOT_FOUND = "TargetNotFound"
    TARGET_FORBIDDEN = "TargetForbidden"
    ADAPTER_NOT_DECLARED = "AdapterNotDeclared"
    TARGET_NOT_READY = "TargetNotReady"
    BUDGET_UNKNOWN = "BudgetUnknown"
    CLASSIFIER_NOT_FOUND = "ClassifierNotFound"
    CLASSIFIER_INVALID = "ClassifierInvalid"
    TASK_CLASS_UNKNOWN = "TaskClassUnknown"
    # targets of routes outside the cluster
    ENFORCED = "Enforced"
    EXTERNAL_DENIED = "ExternalDenied"
    NOBODY_TRUSTED = "NobodyTrusted"
    RECOGNIZER_MISSING = "RecognizerMissing"
    PATTERN_INVALID = "PatternInvalid"
    EGRESS_NOT_INSTALLED = "EgressNotInstalled"
    EGRESS_STARTING = "EgressStarting"
    TOO_MANY_TARGETS = "TooManyTargets"
    # does the network enforce what we declare?
    POLICIES_ENFORCED = "PoliciesEnforced"
    POLICIES_NOT_ENFORCED = "PoliciesNotEnforced"
    PROBE_PENDING = "ProbePending"
    PROBE_FAILED = "ProbeFailed"
    # the pod's real trouble
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CRASH_LOOP = "CrashLoop"
    OUT_OF_MEMORY = "OutOfMemory"
    UNSCHEDULABLE = "Unschedulable"
    CONTAINER_CONFIG = "ContainerConfigError"
    EVICTED = "Evicted"


MEANINGS: Final = {
    Condition.READY: "A request sent now is answered.",
    Condition.RECONCILING: "The operator works towards the newest spec; it will get there by itself.",
    Condition.STALLED: "The user must change something; the message says what. May be True beside Ready.",
    Condition.WEIGHTS_READY: "The weights are where the pods find them, complete and described.",
    Condition.QUANTIZED: "The weights are of the best type that `spec.quantization` accepts and that fits. Only there "
    "with method GGUF.",
    Condition.FITS_MEMORY: "A replica fits its memory limit, or the largest node where none is set.",
    Condition.AVAILABLE: "At least one replica answers.",
    Condition.ROUTABLE: "The gateways take requests for the model.",
    Condition.NO_ROOM_FOR_SURGE: "No node has room for a second replica, so the only one is replaced in place.",
    Condition.CALIBRATED: "The speed of a replica was measured, and `status.capacity` is of what serves.",
    Condition.QUALITY_MET: "The golden prompts are answered as they were when the version was let in, or better.",
    Condition.SCALING_ACTIVE: "Replicas follow `spec.scaling.objectives`, or who writes them from outside. Only there "
    "in the modes Objective and External, and where the pool is full (False: not even one replica has room).",
    Condition.LATENCY_OBJECTIVE_MET: "As many answers as asked were within each bound, over a day. Only there in mode "
    "Objective.",
    Condition.COST_OBJECTIVE_MET: "The model keeps to `spec.scaling.objectives.cost`. Only there with it.",
    Condition.BOUNDARY_ENFORCED: "This cluster's network keeps what NetworkPolicies forbid from happening: the canary "
    "tried it. On a ClusterBoundary. On a ModelRoute with a target outside: what `spec.boundary` declares is held to; "
    "where it is False something of it cannot be, or its target not be reached, and the message says what.",
    Condition.CLASSIFIER_READY: "The route's classifiers were read and know the classes of its rules; where it is "
    "False `spec.default` gets what would have gone elsewhere by them. On a ModelRoute with one.",
    Condition.BUDGET_AVAILABLE: "No budget for the whole route is used up. On a ModelRoute with `spec.budgets`.",
}

ELSEWHERE: Final = CANARY_REASONS | OUTSIDE_REASONS | POD_REASONS | QUALITY_REASONS | SCALING_REASONS
_NOBODY, _OPERATOR, _USER, _PLATFORM = "nobody", "the operator", "the model's owner", "the platform team"

REASONS: Final[Mapping[Reason, tuple[str, str]]] = {
    Reason.SERVING: (_NOBODY, "Replicas answer."),
    Reason.INSPECTED: (_NOBODY, "The weights' header was read."),
    Reason.DECLARED: (_NOBODY, "The memory request was given, not derived."),
    Reason.FITS: (_NOBODY, "The derived memory is within the limit, or a node's size."),
    Reason.TYPE_CHOSEN: (_NOBODY, "The message says which type of `spec.quantization.accept` serves, and why."),
    Reason.SETTLED: (_NOBODY, "Nothing is under way and nothing is wrong."),
    Reason.ASLEEP: (_NOBODY, "No replica runs because nobody asks; the next request wakes the model and is held."),
    Reason.WAKING: (_OPERATOR, "A request woke the model; it is held until a replica answers."),
    Reason.ROUTED: (_NOBODY, "Gateways have the model in their configuration."),
    Reason.MEASURED: (_NOBODY, "The speed of a replica is known."),
    Reason.SUSPENDED: (_NOBODY, "Switched off by `spec.suspend`."),
    Reason.SCALED_TO_ZERO: (_NOBODY, "Switched off by `spec.replicas: 0`."),
    Reason.INFERENCE_STOPPED: (
        _PLATFORM,
        "The ClusterBoundary stops inference there: the gateways answer 503, and what runs stays.",
    ),
    Reason.PROGRESSING: (_OPERATOR, "Objects are being written or pods started."),
    Reason.INSPECTING: (_OPERATOR, "A Job reads the weights' header."),
    Reason.DOWNLOADING: (_OPERATOR, "A Job downloads the weights and checks them."),
    Reason.MAKING_ROOM: (_OPERATOR, "A Job removes unused weights from the claim, so that new ones find room."),
    Reason.QUANTIZING: (
        _OPERATOR,
        "A Job makes the accepted type and measures it; the message says which step.",
    ),
    Reason.STARTING: (_OPERATOR, "Pods start and load the weights."),
    Reason.ROLLING_OUT: (_OPERATOR, "New replicas replace old ones; requests are answered meanwhile."),
    Reason.GATEWAY_SYNCING: (_OPERATOR, "The gateways have not taken the model into their configuration yet."),
    Reason.GATEWAY_SILENT: (_OPERATOR, "No gateway agent says how it stands; Envoy goes on with what it has."),
    Reason.REPLACING_IN_PLACE: (_OPERATOR, "The only replica is replaced; the gateway holds its callers meanwhile."),
    Reason.CALIBRATION_PENDING: (_OPERATOR, "The speed of this version is measured when it answers and nobody asks."),
    Reason.RETRYING: (_OPERATOR, "The API server or another part is not reachable; it is tried again."),
    Reason.INVALID_SPEC: (_USER, "A field has a value that cannot be served."),
    Reason.NAME_TAKEN: (_USER, "An object of this name belongs to somebody else; it is left untouched."),
    Reason.FEATURE_MISSING: (_PLATFORM, "This cluster lacks a feature the spec needs."),
    Reason.PROFILE_NOT_FOUND: (_PLATFORM, "The ComputeProfile does not exist."),
    Reason.ENGINE_NOT_IN_PROFILE: (_PLATFORM, "The ComputeProfile has no image for the engine."),
    Reason.CLAIM_NOT_FOUND: (_USER, "The PersistentVolumeClaim of the source does not exist."),
    Reason.CLAIM_DELETED: (_USER, "The claim with the weights was deleted and waits for the pods that mount it."),
    Reason.WEIGHTS_INVALID: (_USER, "The file is not a GGUF, is cut short, or cannot be served."),
    Reason.WEIGHTS_NOT_FOUND: (_USER, "There is no such file in the source."),
    Reason.WEIGHTS_AMBIGUOUS: (_USER, "The source holds several GGUF files and `spec.source.path` names none."),
    Reason.DIGEST_MISMATCH: (_USER, "What came is not what `spec.source` or `status.source` names by its digest."),
    Reason.UNSAFE_FORMAT: (_USER, "The file is in a format that can run code when it is loaded (pickle)."),
    Reason.UNSAFE_TEMPLATE: (_USER, "The chat template in the weights does what no chat template needs."),
    Reason.ARCHITECTURE_UNKNOWN: (_USER, "The engine does not know the weights' architecture."),
    Reason.SIGNATURE_MISSING: (_USER, "`spec.source.verification` is set and the source holds no signature."),
    Reason.SIGNATURE_INVALID: (_USER, "The signature was not made by the key over what it says, or is damaged."),
    Reason.SIGNING_KEY_MISMATCH: (_USER, "The signature names another key than the one in the Secret."),
    Reason.SIGNED_FILE_CHANGED: (_USER, "A file is not the one that was signed."),
    Reason.SIGNED_FILE_MISSING: (_USER, "A file that was signed is not in the source."),
    Reason.FILE_NOT_SIGNED: (_USER, "The source holds a file that was not signed."),
    Reason.DOWNLOAD_FAILED: (_USER, "The download failed; the message says whether it is tried again."),
    Reason.SOURCE_UNREACHABLE: (_PLATFORM, "The source is down or the line to it breaks; it is tried again."),
    Reason.SOURCE_UNTRUSTED: (_PLATFORM, "The source's certificate is not accepted."),
    Reason.SOURCE_UNAUTHORIZED: (_USER, "The source wants credentials, or others (401)."),
    Reason.SOURCE_FORBIDDEN: (_USER, "The source does not give it to us (403)."),
    Reason.SOURCE_NOT_FOUND: (_USER, "The source has no such file or image (404, 410)."),
    Reason.SOURCE_RATE_LIMITED: (_OPERATOR, "The source was asked too often (429); it is asked again when it wants."),
    Reason.SOURCE_FAILING: (_OPERATOR, "The source has trouble of its own (5xx); it is tried again."),
    Reason.SOURCE_STALLED: (_OPERATOR, "The source answers and sends next to nothing; it is tried again."),
    Reason.CLAIM_FULL: (_USER, "The claim has no room for the download; the message has both numbers."),
    Reason.INSPECTION_FAILED: (_OPERATOR, "The inspection ended without a result; it is tried again."),
    Reason.TYPE_MISSING: (_USER, "The source holds no accepted type, and none can be made from what it holds."),
    Reason.QUANTIZATION_FAILED: (_USER, "A step of the Job failed; the message names it and says how."),
    Reason.IMPORTANCE_MATRIX_FAILED: (
        _USER,
        "The text of `spec.quantization.importanceMatrix` is missing, too short or the gate's own, or `llama-imatrix` "
        "failed on it.",
    ),
    Reason.DOES_NOT_FIT: (_USER, "A replica needs more memory than its limit, or than any node has."),
    Reason.GATEWAY_MISSING: (_PLATFORM, "No gateway is ready, so nothing reaches the model."),
    Reason.SECRET_NOT_FOUND: (_USER, "A Secret the spec names does not exist, or lacks the entry."),
    Reason.SECRET_INVALID: (_USER, "A Secret the spec names holds nothing usable."),
    Reason.CALIBRATION_FAILED: (_PLATFORM, "The operator cannot measure a replica; the message says why."),
    **{Reason(name): said for name, said in ELSEWHERE.items()},
}


@dataclass(frozen=True, slots=True)
class Report:
    """One concern's verdict for one condition; `status` is True, False or None for Unknown."""

    condition: Condition
    status: bool | None
    reason: Reason
    message: str
