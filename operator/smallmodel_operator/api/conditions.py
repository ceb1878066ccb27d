"""Every condition and reason the operator may report, declared once.

The reference page and a test are generated from these tables; a reason that is not here cannot be written.
"""

from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """Condition types of a SmallModel. `Ready`, `Reconciling` and `Stalled` follow kstatus."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    WEIGHTS_READY = "WeightsReady"
    FITS_MEMORY = "FitsMemory"
    AVAILABLE = "Available"


class Reason(StrEnum):
    """Reasons, stable and part of the API. The comment says who must act."""

    # good
    SERVING = "Serving"
    INSPECTED = "Inspected"
    DECLARED = "Declared"  # memory request given by the user, nothing derived
    FITS = "Fits"
    SETTLED = "Settled"
    # off by the user's wish
    SUSPENDED = "Suspended"
    SCALED_TO_ZERO = "ScaledToZero"
    # under way
    PROGRESSING = "Progressing"
    INSPECTING = "Inspecting"
    DOWNLOADING = "Downloading"
    STARTING = "Starting"
    ROLLING_OUT = "RollingOut"
    RETRYING = "Retrying"  # an outage; the operator tries again by itself
    # the user must change something
    INVALID_SPEC = "InvalidSpec"
    NAME_TAKEN = "NameTaken"
    FEATURE_MISSING = "FeatureMissing"
    PROFILE_NOT_FOUND = "ProfileNotFound"
    ENGINE_NOT_IN_PROFILE = "EngineNotInProfile"
    CLAIM_NOT_FOUND = "ClaimNotFound"
    WEIGHTS_INVALID = "WeightsInvalid"
    WEIGHTS_NOT_FOUND = "WeightsNotFound"
    WEIGHTS_AMBIGUOUS = "WeightsAmbiguous"
    DIGEST_MISMATCH = "DigestMismatch"
    DOWNLOAD_FAILED = "DownloadFailed"
    INSPECTION_FAILED = "InspectionFailed"
    DOES_NOT_FIT = "DoesNotFit"
    QUOTA_EXCEEDED = "QuotaExceeded"
    FORBIDDEN = "Forbidden"
    # the pod's real trouble
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CRASH_LOOP = "CrashLoop"
    OUT_OF_MEMORY = "OutOfMemory"
    UNSCHEDULABLE = "Unschedulable"
    CONTAINER_CONFIG = "ContainerConfigError"
    VOLUME_UNAVAILABLE = "VolumeUnavailable"
    EVICTED = "Evicted"


@dataclass(frozen=True, slots=True)
class Report:
    """One concern's verdict for one condition; `status` is True, False or None for Unknown."""

    condition: Condition
    status: bool | None
    reason: Reason
    message: str
