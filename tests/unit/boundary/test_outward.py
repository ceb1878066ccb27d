"""The static check of the egress: nothing is found where all is as declared, and every other way is found."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.boundary.declared import parse
from smallmodel_operator.boundary.egress import outward_findings
from smallmodel_operator.gateway.egress.envoy import bootstrap
from smallmodel_operator.gateway.egress.run import outward
from smallmodel_operator.gateway.egress.site import EgressSite

SITE = EgressSite()
CLOUD = parse("support/assistant/cloud", "https://api.example.com/v1")
LAB = parse("research/helper/lab", "https://lab.example.org:8443", credential=False)
HOSTS = (CLOUD, LAB)
GIVEN = outward(HOSTS, SITE)


class Parts:
    """A whole configuration, to change."""

    def __init__(self) -> None:
        self.all: dict[str, Any] = deepcopy(bootstrap(HOSTS, SITE))
        self.static = self.all["static_resources"]
        self.clusters = self.static["clusters"]
        self.check, self.cloud, self.lab = self.clusters
        self.address = self.cloud["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
        self.tls = self.cloud["transport_socket"]["typed_config"]
        self.validation = self.tls["common_tls_context"]["validation_context"]
        (self.options,) = self.cloud["typed_extension_protocol_options"].values()
        self.last = self.options["http_filters"]
        self.mutations = self.last[0]["typed_config"]["mutations"]["request_mutations"]
        self.listener = self.static["listeners"][0]
        self.manager = self.listener["filter_chains"][0]["filters"][0]["typed_config"]
        self.filters = self.manager["http_filters"]
        self.authz = self.filters[1]["typed_config"]
        self.early = self.manager["early_header_mutation_extensions"][0]["typed_config"]["mutations"]
        self.matcher = self.manager["route_config"]["virtual_hosts"][0]["matcher"]
        self.map = self.matcher["matcher_tree"]["exact_match_map"]["map"]
        self.way = self.map[CLOUD.name]["action"]["typed_config"]
        self.nowhere = self.matcher["on_no_match"]["action"]["typed_config"]


def test_nothing_is_found_where_all_is_as_declared() -> None:
    assert outward_findings(Parts().all, GIVEN) == []


HOLES: dict[str, Callable[[Parts], object]] = {
    "other host": lambda p: p.address["socket_address"].update(address="evil.example"),
    "other port": lambda p: p.address["socket_address"].update(port_value=80),
    "one address more": lambda p: p.cloud["load_assignment"]["endpoints"][0]["lb_endpoints"].append(
        {"endpoint": {"address": {"socket_address": {"address": "evil.example", "port_value": 443}}}}
    ),
    "one cluster more": lambda p: p.clusters.append({**deepcopy(p.cloud), "name": "away"}),
    "a cluster twice": lambda p: p.clusters.append(deepcopy(p.cloud)),
    "a host that is missing": lambda p: p.clusters.remove(p.lab),
    "where the caller wanted": lambda p: p.cloud.update(type="ORIGINAL_DST"),
    "forward proxy": lambda p: p.cloud.update(cluster_type={"name": "envoy.clusters.dynamic_forward_proxy"}),
    "no TLS": lambda p: p.cloud.pop("transport_socket"),
    "other name shown": lambda p: p.tls.update(sni="evil.example"),
    "any name in the certificate": lambda p: p.validation.pop("match_typed_subject_alt_names"),
    "any authority": lambda p: p.validation.pop("trusted_ca"),
    "other authority": lambda p: p.validation["trusted_ca"].update(filename="/tmp/ca.crt"),
    "anything accepted": lambda p: p.validation.update(trust_chain_verification="ACCEPT_UNTRUSTED"),
    "headers left": lambda p: p.last.pop(0),
    "headers left in front": lambda p: p.last.insert(0, p.last.pop(1)),
    "a header that leaves": lambda p: p.mutations[0]["remove_on_match"]["key_matcher"].update(
        safe_regex={"regex": "authorization|cookie"}
    ),
    "a header made of the caller's": lambda p: p.mutations.append(
        {"append": {"header": {"key": "x", "value": "%REQ(cookie)%"}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}}
    ),
    "a header added on the way": lambda p: p.way.update(
        request_headers_to_add=[{"header": {"key": "x", "value": "y"}}]
    ),
    "asked without its credential": lambda p: p.last[1]["typed_config"].update(allow_request_without_credential=True),
    "the caller's credential": lambda p: p.last[1]["typed_config"].update(overwrite=False),
    "another's credential": lambda p: p.last[1]["typed_config"]["credential"]["typed_config"]["credential"].update(
        name=LAB.file
    ),
    "a credential in the configuration": lambda p: p.static["secrets"][0]["generic_secret"].update(
        secret={"inline_string": "sk"}
    ),
    "a credential from elsewhere": lambda p: p.static["secrets"][0]["generic_secret"]["secret"].update(
        filename="/etc/passwd"
    ),
    "HTTP/2, which has trailers": lambda p: p.options.update(explicit_http_config={"http2_protocol_options": {}}),
    "trailers": lambda p: p.options.update(explicit_http_config={"http_protocol_options": {"enable_trailers": True}}),
    "trailers come in": lambda p: p.manager.update(codec_type="AUTO"),
    "nobody asked": lambda p: p.filters.pop(1),
    "asked after": lambda p: p.filters.append(p.filters.pop(1)),
    "asked if wanted": lambda p: p.filters[1].update(disabled=True),
    "open when nobody answers": lambda p: p.authz.update(failure_mode_allow=True),
    "a part of the body": lambda p: p.authz["with_request_body"].update(allow_partial_message=True),
    "a body without end": lambda p: p.authz["with_request_body"].update(max_request_bytes=1 << 30),
    "no body": lambda p: p.authz.pop("with_request_body"),
    "somebody else asked": lambda p: p.authz["http_service"]["server_uri"].update(cluster=CLOUD.name),
    "asked elsewhere": lambda p: p.check["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"].update(
        address={"socket_address": {"address": "10.0.0.1", "port_value": 80}}
    ),
    "an answer that says more": lambda p: p.authz["http_service"]["authorization_response"]["allowed_upstream_headers"][
        "patterns"
    ].append({"exact": "host"}),
    "the way of before": lambda p: p.authz.update(clear_route_cache=False),
    "not asked on a way": lambda p: p.way.update(typed_per_filter_config={}),
    "a way the caller names": lambda p: p.early.pop(0),
    "a way by another header": lambda p: p.matcher["matcher_tree"]["input"]["typed_config"].update(header_name="host"),
    "a way to another host": lambda p: p.way["route"].update(cluster=LAB.name),
    "another host named": lambda p: p.way["route"].update(host_rewrite_literal="evil.example"),
    "the caller's host": lambda p: p.way["route"].pop("host_rewrite_literal"),
    "another path": lambda p: p.way["route"].update(prefix_rewrite="/other/"),
    "one way more": lambda p: p.map.update(x=deepcopy(p.map[CLOUD.name])),
    "somewhere without a way": lambda p: p.nowhere.update(route={"cluster": CLOUD.name}),
    "nowhere is a header callers bring": lambda p: p.nowhere["route"].update(cluster_header="x-cluster"),
    "again": lambda p: p.way["route"].update(retry_policy={"retry_on": "5xx"}),
    "again, by a number": lambda p: p.way["route"]["retry_policy"].update(num_retries=1),
    "waited for as nobody declared": lambda p: p.way["route"]["retry_policy"].update(per_try_timeout="30s"),
    "no way for streams": lambda p: p.map.pop(f"{CLOUD.name}|stream"),
    "streams to another host": lambda p: p.map[f"{CLOUD.name}|stream"]["action"]["typed_config"]["route"].update(
        cluster=LAB.name
    ),
    "to two": lambda p: p.way["route"].update(request_mirror_policies=[{"cluster": LAB.name}]),
    "redirects followed": lambda p: p.way["route"].update(internal_redirect_policy={}),
    "CONNECT": lambda p: p.manager.update(upgrade_configs=[{"upgrade_type": "CONNECT"}]),
    "a second door": lambda p: p.listener["filter_chains"][0]["filters"].append(
        {
            "name": "tcp",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"},
        }
    ),
    "a log to elsewhere": lambda p: p.manager["access_log"].append(
        {
            "name": "x",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig"
            },
        }
    ),
    "tracing": lambda p: p.manager.update(tracing={}),
    "Lua": lambda p: p.filters.insert(
        0, {"name": "lua", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"}}
    ),
    "configuration from elsewhere": lambda p: p.all.update(dynamic_resources={"ads_config": {}}),
    "admin on a port": lambda p: p.all["admin"].update(
        address={"socket_address": {"address": "0.0.0.0", "port_value": 9901}}
    ),
    "another feature": lambda p: p.all["layered_runtime"]["layers"][0]["static_layer"].update(
        {"envoy.reloadable_features.x": True}
    ),
    "statistics sent away": lambda p: p.all.update(stats_sinks=[]),
}


@pytest.mark.parametrize("name", HOLES)
def test_another_way_is_found(name: str) -> None:
    parts = Parts()
    HOLES[name](parts)
    assert outward_findings(parts.all, GIVEN)


def test_another_declaration_is_another_configuration() -> None:
    for hosts in (
        (CLOUD,),
        (CLOUD, LAB, parse("a/b/c", "https://x.example")),
        (parse(CLOUD.name, "https://y.example"), LAB),
    ):
        assert outward_findings(Parts().all, outward(hosts, SITE))


@given(
    st.recursive(
        st.none() | st.text(max_size=5) | st.integers(), lambda v: st.lists(v) | st.dictionaries(st.text(max_size=8), v)
    )
)
def test_anything_else_is_a_finding(value: Any) -> None:
    """An empty message is no message of the egress."""
    assert outward_findings(value, GIVEN)
