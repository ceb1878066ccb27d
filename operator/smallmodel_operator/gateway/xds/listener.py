"""Listeners: plain HTTP always, HTTPS with a certificate."""

from typing import Any, Final

from smallmodel_operator.api.names import GATEWAY
from smallmodel_operator.gateway.state import State
from smallmodel_operator.gateway.xds import decide, instead, judged, leave
from smallmodel_operator.gateway.xds.filters import filters
from smallmodel_operator.gateway.xds.log import access_log
from smallmodel_operator.gateway.xds.replies import local_replies
from smallmodel_operator.gateway.xds.routes import NAME, UPLOAD_SILENCE
from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.gateway.xds.words import (
    ASKED,
    CERTIFICATES,
    LISTENER,
    extension,
    file_source,
    formatted,
    resources,
    typed,
)

OWN_PREFIXES: Final = ("x-slm-", "x-envoy-")
"""Headers that steer the gateway: a caller's are dropped before anything reads them."""
DECIDING: Final = (
    "content-length", ":method", "content-type", "content-encoding", ":path", ":authority", "authorization"
)  # fmt: skip
"""All the door decides by, see door.lua: it asks for each by name only where it has not met the same before."""
BUFFER: Final = 384 * 1024
"""Bytes kept for a connection that reads slowly; bodies to be read whole have their own limit on their route."""
CERTIFICATE: Final = "door"


def listeners(state: State, site: Site) -> dict[str, Any]:
    """lds.json."""
    found = [_listener("http", site.http_port, state, site)]
    if state.tls:
        found.append(_listener("https", site.https_port, state, site))
    if state.leads_outside:
        found.append(instead.listener(site, _manager(instead.NAME, state, site)))
    if state.judges:
        found.append(judged.listener(site, _manager(judged.NAME, state, site)))
    return resources(LISTENER, found)


def certificates(site: Site) -> dict[str, Any]:
    """sds.json: the certificate, read again when the Secret's files are replaced."""
    certificate = {
        "certificate_chain": {"filename": str(site.certificates / "tls.crt")},
        "private_key": {"filename": str(site.certificates / "tls.key")},
        "watched_directory": {"path": str(site.certificates)},
    }
    return resources(CERTIFICATES, [{"name": CERTIFICATE, "tls_certificate": certificate}])


def _listener(name: str, port: int, state: State, site: Site) -> dict[str, Any]:
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    chain: dict[str, Any] = {
        "filters": [extension("envoy.filters.network.http_connection_manager", manager, **_manager(name, state, site))]
    }
    if name == "https":
        chain["transport_socket"] = _tls(site)
    return {
        "name": name,
        "address": {"socket_address": {"address": site.address, "port_value": port}},
        "per_connection_buffer_limit_bytes": BUFFER,
        "ignore_global_conn_limit": False,
        "filter_chains": [chain],
    }


def _tls(site: Site) -> dict[str, Any]:
    source = {"name": CERTIFICATE, "sds_config": file_source(site.folder / "xds" / "sds.json")}
    return extension(
        "envoy.transport_sockets.tls",
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificate_sds_secret_configs": [source],
        },
    )


def _manager(name: str, state: State, site: Site) -> dict[str, Any]:
    return {
        "stat_prefix": name,
        "codec_type": "AUTO",
        "rds": {"route_config_name": NAME, "config_source": file_source(site.folder / "xds" / "rds.json")},
        "early_header_mutation_extensions": [_early()],
        "http_filters": filters(state, site),
        "local_reply_config": {"mappers": _mappers(site)},
        "access_log": [access_log(site)],
        "use_remote_address": True,
        "skip_xff_append": True,  # who called is in the record; the engine need not know
        "always_set_request_id_in_response": True,
        "generate_request_id": True,
        "server_name": GATEWAY,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": {"idle_timeout": "600s", "headers_with_underscores_action": "DROP_HEADER"},
        "http2_protocol_options": {"max_concurrent_streams": 1000},
        "request_headers_timeout": "10s",
        "stream_idle_timeout": UPLOAD_SILENCE,
        "delayed_close_timeout": "1s",
    }


def _mappers(site: Site) -> list[dict[str, Any]]:
    """Lua's own answers come first: they stay as they are."""
    own, *rest = local_replies(refuse=site.refuse)["mappers"]
    return [*decide.replies(), own, *leave.replies(), *rest]


def _early() -> dict[str, Any]:
    """Before any filter: what steers the gateway is its own, and what the door decides by is one text."""
    mutations: list[dict[str, Any]] = [
        {"remove_on_match": {"key_matcher": {"prefix": prefix}}} for prefix in OWN_PREFIXES
    ]
    mutations.append({"append": formatted(ASKED, "|".join(f"%REQ({name})%" for name in DECIDING))})
    kind = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": typed(kind, mutations=mutations),
    }
