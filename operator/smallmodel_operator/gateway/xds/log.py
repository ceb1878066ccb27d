"""The access log: one JSON line for each request, no text of anybody's."""

from typing import Any

from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.gateway.xds.words import METADATA, extension


def _known(key: str) -> str:
    return f"%DYNAMIC_METADATA({METADATA}:{key})%"


def access_log(site: Site) -> dict[str, Any]:
    """To a file the agent reads."""
    fields = {
        "time": "%START_TIME%",
        "id": "%REQ(x-request-id)%",
        "status": "%RESPONSE_CODE%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
        **{
            key: _known(key)
            for key in ("cause", "caller", "caller_namespace", "model", "target", "input_tokens", "output_tokens")
        },
    }
    return extension(
        "envoy.access_loggers.file",
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        path=str(site.data / "access.log"),
        log_format={"json_format": fields},
    )
