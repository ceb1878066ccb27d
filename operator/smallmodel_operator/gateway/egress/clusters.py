"""One cluster for each declared host, and one for who checks passes. Pure."""

from typing import Any, Final

from smallmodel_operator.boundary.declared import Declared
from smallmodel_operator.gateway.egress.headers import allowed_only
from smallmodel_operator.gateway.egress.site import MOST_BODY, EgressSite
from smallmodel_operator.gateway.egress.words import CHECK
from smallmodel_operator.gateway.xds.words import extension, typed

BUFFER: Final = 64 * 1024
"""Bytes kept of what a host says faster than its caller reads."""
IDLE: Final = "30s"
_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TLS: Final = "envoy.extensions.transport_sockets.tls.v3"


def checker(site: EgressSite) -> dict[str, Any]:
    """The process beside Envoy, on a socket of the pod."""
    return {
        "name": CHECK,
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": 2 * MOST_BODY,
        "load_assignment": _load(CHECK, {"pipe": {"path": site.check_socket}}),
    }


def outside(host: Declared, site: EgressSite) -> dict[str, Any]:
    """A declared host."""
    address = {"socket_address": {"address": host.host, "port_value": host.port}}
    filters = [allowed_only(), *([_credential(host)] if host.credential else []), _codec()]
    return {
        "name": host.name,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "5s",
        "per_connection_buffer_limit_bytes": BUFFER,
        "load_assignment": _load(host.name, address),
        "transport_socket": _tls(host, site),
        "typed_extension_protocol_options": {
            _OPTIONS: typed(
                _OPTIONS,
                common_http_protocol_options={"idle_timeout": IDLE},
                # Not HTTP/2: requests there may have trailers, which no pass is for.
                explicit_http_config={"http_protocol_options": {}},
                http_filters=filters,
            )
        },
    }


def _load(name: str, address: dict[str, Any]) -> dict[str, Any]:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def _tls(host: Declared, site: EgressSite) -> dict[str, Any]:
    """Whoever the name leads to has to show a certificate for it."""
    validation = {
        "trusted_ca": {"filename": str(site.authorities)},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host.host}}],
    }
    return extension(
        "envoy.transport_sockets.tls",
        f"{_TLS}.UpstreamTlsContext",
        sni=host.host,
        common_tls_context={
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "alpn_protocols": ["http/1.1"],
            "validation_context": validation,
        },
    )


def _credential(host: Declared) -> dict[str, Any]:
    """In place of whatever came along; where it cannot be put in the request is refused."""
    kind = "envoy.extensions.http.injected_credentials.generic.v3.Generic"
    generic = extension(
        "envoy.http.injected_credentials.generic",
        kind,
        credential={"name": host.file},
        header="authorization",
        header_value_prefix="Bearer ",
    )
    return extension(
        "envoy.filters.http.credential_injector",
        "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
        overwrite=True,
        allow_request_without_credential=False,
        credential=generic,
    )


def secret(host: Declared, site: EgressSite) -> dict[str, Any]:
    """Its credential, by the name the filter has for it: from a file, so that it is in no configuration."""
    path = site.credentials / host.file
    return {"name": host.file, "generic_secret": {"secret": {"filename": str(path)}}}


def _codec() -> dict[str, Any]:
    kind = "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
    return extension("envoy.filters.http.upstream_codec", kind)
