"""The access log: one JSON line for each request, no text of anybody's."""

from typing import Any

from smallmodel_operator.gateway.accesslog.format import fields
from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.gateway.xds.words import extension


def access_log(site: Site) -> dict[str, Any]:
    """To a file the agent reads."""
    return extension(
        "envoy.access_loggers.file",
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        path=str(site.data / "access.log"),
        log_format={"json_format": fields(), "omit_empty_values": True},
    )
