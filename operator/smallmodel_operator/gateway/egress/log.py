"""What the egress says of each request, one line of JSON: which, where to, how much, what became of it. No texts. Pure.

A request's own headers are gone when the line is written, so what is told was kept beside it before.
"""

from typing import Any, Final

from smallmodel_operator.gateway.egress.site import EgressSite
from smallmodel_operator.gateway.egress.words import POLICY, TARGET
from smallmodel_operator.gateway.xds.words import extension

KEPT: Final = "smallmodel"
_AUTHZ: Final = "envoy.filters.http.ext_authz"
FIELDS: Final = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "request.id": f"%DYNAMIC_METADATA({KEPT}:id):128%",
    "slm.target": f"%DYNAMIC_METADATA({KEPT}:target):255%",
    "slm.decision.policy": f"%DYNAMIC_METADATA({_AUTHZ}:{POLICY}):80%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "bytes.in": "%BYTES_RECEIVED%",
    "bytes.out": "%UPSTREAM_WIRE_BYTES_SENT%",
    "bytes.back": "%UPSTREAM_WIRE_BYTES_RECEIVED%",
    "duration.ms": "%DURATION%",
    "server.address": "%UPSTREAM_HOST%",
}
"""`bytes.out`: what went to the host, its head included; 0: nothing did."""


def access_log(site: EgressSite) -> dict[str, Any]:
    """Of the listener."""
    return extension(
        "envoy.access_loggers.file",
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        path=site.log,
        log_format={"json_format": FIELDS, "omit_empty_values": True},
    )


def kept() -> dict[str, Any]:
    """The filter that keeps what is told."""
    kind = "envoy.extensions.filters.http.header_to_metadata.v3.Config"
    names = {"x-request-id": "id", TARGET: "target"}
    rules = [
        {"header": name, "on_header_present": {"metadata_namespace": KEPT, "key": key, "type": "STRING"}}
        for name, key in names.items()
    ]
    return extension("envoy.filters.http.header_to_metadata", kind, request_rules=rules)
