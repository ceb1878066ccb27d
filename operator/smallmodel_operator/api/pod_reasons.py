"""What the reasons of pods that fail, or may not be made, mean, and who must act; see conditions.py."""

from typing import Final

_OPERATOR, _USER, _PLATFORM = "the operator", "the model's owner", "the platform team"

POD_REASONS: Final[dict[str, tuple[str, str]]] = {
    "QuotaExceeded": (
        _PLATFORM,
        "A ResourceQuota refuses the pods or objects, or the gateways' key table is full.",
    ),
    "Forbidden": (_PLATFORM, "Admission or RBAC refuses the pods or objects."),
    "ImagePullFailed": (_USER, "An image cannot be pulled."),
    "CrashLoop": (_USER, "The engine ends again and again."),
    "OutOfMemory": (_USER, "The engine was killed at its memory limit."),
    "Unschedulable": (_PLATFORM, "No node has room for a pod."),
    "ContainerConfigError": (_USER, "The container cannot be started as declared."),
    "Evicted": (_OPERATOR, "A pod was evicted; another one starts."),
}
