"""Ways out of the cluster, one by one: each makes one in a configuration that has none. Envoy takes all of them."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any, Final

from tests.gateway.cases import CASES

from smallmodel_operator.gateway.state import State
from smallmodel_operator.gateway.xds import Site, bootstrap, files
from smallmodel_operator.gateway.xds.routes import NOWHERE
from smallmodel_operator.gateway.xds.words import BODIES

BOT: Final = "support/bot"
FOREIGN: Final = "203.0.113.9"
TYPE: Final = "type.googleapis.com/envoy."
STATE: Final[State] = replace(
    CASES["tokens"],
    models=CASES["limits"].models,
    tls=True,
    peers=("10.0.0.7",),
    routes={**CASES["outside"].routes, **CASES["judged"].routes},
    egress=CASES["outside"].egress,
)
"""One model with everything a configuration may have, and a route that leads outside by the egress, and
one whose answers are judged."""
LEFT: Final = ">support/desk/cloud"
BACK: Final = ">?support/desk/cloud"


class Parts:
    """A whole configuration, to change."""

    def __init__(self, site: Site) -> None:
        self.bootstrap: dict[str, Any] = deepcopy(bootstrap(site))
        self.files: dict[str, Any] = deepcopy(files(STATE, site))
        self.listener = self.files["xds/lds.json"]["resources"][0]
        self.chain = self.listener["filter_chains"][0]
        self.manager = self.chain["filters"][0]["typed_config"]
        self.filters = {f["name"]: f["typed_config"] for f in self.manager["http_filters"]}
        self.host = self.files["xds/rds.json"]["resources"][0]["virtual_hosts"][0]
        self.matcher = self.host["matcher"]
        self.dispatch = self.matcher["on_no_match"]["action"]["typed_config"]
        self.route = self.matcher["matcher_tree"]["exact_match_map"]["map"][f"{BOT}|bot"]["action"]["typed_config"]
        self.forward = self.route["route"]
        self.leave = self.matcher["matcher_tree"]["exact_match_map"]["map"][LEFT]["action"]["typed_config"]
        self.back = self.matcher["matcher_tree"]["exact_match_map"]["map"][BACK]["action"]["typed_config"]
        self.ways = self.files["xds/eds/egress.json"]["resources"][0]["endpoints"]
        self.egress = self.ways[0]["lb_endpoints"][0]["endpoint"]
        (self.inner,) = (li for li in self.files["xds/lds.json"]["resources"] if li["name"] == "instead")
        self.innermost = self.inner["filter_chains"][0]["filters"][0]["typed_config"]
        (self.judged,) = (li for li in self.files["xds/lds.json"]["resources"] if li["name"] == "judged")
        self.judging = self.judged["filter_chains"][0]["filters"][0]["typed_config"]
        self.clusters = self.files["xds/cds.json"]["resources"]
        self.cluster = self.clusters[0]
        self.assignment = self.files["xds/eds/support.bot.json"]["resources"][0]
        self.endpoint = self.assignment["endpoints"][0]["lb_endpoints"][0]["endpoint"]

    def add_cluster(self, name: str = "away", **fields: Any) -> None:
        """A static way out."""
        self.bootstrap["static_resources"]["clusters"].append(away(name, **fields))

    def all(self) -> Mapping[str, Any]:
        return {"bootstrap.json": self.bootstrap, **self.files}


def away(name: str = "away", kind: str = "STATIC", address: str = FOREIGN, **fields: Any) -> dict[str, Any]:
    """A cluster outside."""
    endpoint = {"endpoint": {"address": {"socket_address": {"address": address, "port_value": 443}}}}
    load = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": kind, "connect_timeout": "1s", "load_assignment": load, **fields}


def packed(kind: str, **fields: Any) -> dict[str, Any]:
    return {"@type": TYPE + kind, **fields}


def extension(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": packed(kind, **fields)}


GRPC: Final = {"envoy_grpc": {"cluster_name": "agent"}}
Hole = Callable[[Parts], object]


def lua(parts: Parts) -> None:
    code = parts.dispatch["typed_per_filter_config"]["door"]["source_code"]
    call = 'handle:httpCall("agent", {[":method"]="GET"}, "", 100)'
    code["inline_string"] += f"\nfunction envoy_on_response(handle) {call} end\n"


def lua_named(parts: Parts) -> None:
    code = parts.filters["target"]["source_codes"]["hmac"]
    code["inline_string"] += 'function envoy_on_response(handle) handle:httpCall("agent", {}, "", 100) end'


def lua_head(parts: Parts) -> None:
    code = parts.dispatch["typed_per_filter_config"]["door"]["source_code"]
    code["inline_string"] = 'os.execute("true")\n' + code["inline_string"]


def lua_in_data(parts: Parts) -> None:
    code = parts.dispatch["typed_per_filter_config"]["door"]["source_code"]
    code["inline_string"] = code["inline_string"].replace("DATA = [[\n", 'DATA = [[\n]]\nio.popen("true")\nX = [[\n', 1)


def default_lua(parts: Parts) -> None:
    parts.filters["door"]["default_source_code"] = {
        "inline_string": "function envoy_on_request(h) h['http'..'Call'](h, 'x', {}, '', 1) end"
    }


def forwarded(parts: Parts) -> None:
    parts.add_cluster()
    parts.forward["cluster"] = "away"


def weighted(parts: Parts) -> None:
    parts.add_cluster()
    del parts.forward["cluster"]
    parts.forward["weighted_clusters"] = {"clusters": [{"name": BOT, "weight": 99}, {"name": "away", "weight": 1}]}


def mirrored(parts: Parts) -> None:
    parts.add_cluster()
    parts.forward["request_mirror_policies"] = [{"cluster": "away"}]


def nested(parts: Parts) -> None:
    """Behind a matcher inside the matcher."""
    parts.add_cluster()
    route = {**deepcopy(parts.route), "route": {"cluster": "away"}}
    inner = deepcopy(parts.matcher)
    inner["matcher_tree"]["exact_match_map"]["map"] = {"x": {"action": {"name": "x", "typed_config": route}}}
    parts.matcher["on_no_match"] = {"matcher": inner}


def remote_keys(parts: Parts) -> None:
    parts.add_cluster()
    provider = parts.filters["envoy.filters.http.jwt_authn"]["providers"]["cluster"]
    del provider["local_jwks"]
    uri = {"uri": "https://keys.example/jwks", "cluster": "away", "timeout": "1s"}
    provider["remote_jwks"] = {"http_uri": uri}


def resolving(kind: str) -> Hole:
    def hole(parts: Parts) -> None:
        parts.add_cluster(kind=kind, address="api.example")
        parts.forward["cluster"] = "away"

    return hole


def plug_in(parts: Parts) -> None:
    kind = "extensions.router.cluster_specifiers.lua.v3.LuaConfig"
    code = {"inline_string": "function envoy_on_route(h) return 'x' end"}
    del parts.forward["cluster"]
    chooser = extension("lua", kind, source_code=code, default_cluster=BOT)
    parts.forward["inline_cluster_specifier_plugin"] = {"extension": chooser}


def original(parts: Parts) -> None:
    parts.bootstrap["static_resources"]["clusters"].append(
        {"name": "away", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "1s"}
    )


def forward_proxy(parts: Parts) -> None:
    cache = {"dns_cache_config": {"name": "any"}}
    kind = "extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig"
    parts.bootstrap["static_resources"]["clusters"].append(
        {
            "name": "away",
            "lb_policy": "CLUSTER_PROVIDED",
            "connect_timeout": "1s",
            "cluster_type": extension("envoy.clusters.dynamic_forward_proxy", kind, **cache),
        }
    )


def tcp_proxy(parts: Parts) -> None:
    parts.add_cluster()
    kind = "extensions.filters.network.tcp_proxy.v3.TcpProxy"
    other = deepcopy(parts.listener)
    address = {"socket_address": {"address": "0.0.0.0", "port_value": 10999}}
    proxy = extension("envoy.filters.network.tcp_proxy", kind, stat_prefix="t", cluster="away")
    other |= {"name": "tcp", "address": address, "filter_chains": [{"filters": [proxy]}]}
    parts.bootstrap["static_resources"]["listeners"] = [{k: v for k, v in other.items() if k != "@type"}]


def http_filter(parts: Parts, name: str, kind: str, **fields: Any) -> None:
    parts.manager["http_filters"].insert(0, extension(name, kind, **fields))


def decision(parts: Parts) -> None:
    kind = "extensions.filters.http.ext_authz.v3.ExtAuthz"
    http_filter(parts, "envoy.filters.http.ext_authz", kind, grpc_service=GRPC, transport_api_version="V3")


def decided_elsewhere(parts: Parts) -> None:
    parts.add_cluster()
    parts.filters["envoy.filters.http.ext_authz"]["http_service"]["server_uri"]["cluster"] = "away"


def undecided_passes(parts: Parts) -> None:
    """It leads nowhere by itself: it lets requests pass on which nobody has decided."""
    parts.filters["envoy.filters.http.ext_authz"]["failure_mode_allow"] = True


def decision_signed(parts: Parts) -> None:
    service = parts.filters["envoy.filters.http.ext_authz"]["http_service"]
    service["authorization_response"]["dynamic_metadata_from_headers"] = {"patterns": [{"prefix": "x-"}]}


def answered_inside(parts: Parts) -> Any:
    """What who decides may say of a request that comes back in."""
    filters = {f["name"]: f["typed_config"] for f in parts.innermost["http_filters"]}
    return filters["envoy.filters.http.ext_authz"]["http_service"]["authorization_response"][
        "allowed_upstream_headers"
    ]["patterns"]


def judge(parts: Parts, cluster: str) -> None:
    """Lua of the door where answers are judged asks somebody else."""
    code = parts.judging["http_filters"][0]["typed_config"]["default_source_code"]
    assert ':httpCall("decide",' in code["inline_string"]
    code["inline_string"] = code["inline_string"].replace(':httpCall("decide",', f':httpCall("{cluster}",')


def way_to_judge(parts: Parts, **changed: Any) -> None:
    """The way to that door."""
    route = parts.matcher["matcher_tree"]["exact_match_map"]["map"]["?"]["action"]["typed_config"]
    route["route"].update(changed)


def agent_for_lua(parts: Parts) -> None:
    everywhere = [*parts.clusters, *parts.bootstrap["static_resources"]["clusters"]]
    (cluster,) = (c for c in everywhere if c["name"] == "decide")
    cluster["load_assignment"] = away("decide")["load_assignment"]


def processing(parts: Parts) -> None:
    kind = "extensions.filters.http.ext_proc.v3.ExternalProcessor"
    http_filter(parts, "envoy.filters.http.ext_proc", kind, grpc_service=GRPC)


def tap(parts: Parts) -> None:
    kind = "extensions.filters.http.tap.v3.Tap"
    http_filter(parts, "envoy.filters.http.tap", kind, common_config={"admin_config": {"config_id": "x"}})


def discovered(parts: Parts) -> None:
    source = {"ads": {}, "resource_api_version": "V3"}
    kinds = [f"{TYPE}extensions.filters.http.router.v3.Router"]
    found = {"name": "later", "config_discovery": {"config_source": source, "type_urls": kinds}}
    parts.manager["http_filters"].insert(0, found)


def grpc_log(parts: Parts) -> None:
    parts.add_cluster()
    common = {
        "log_name": "x",
        "grpc_service": {"envoy_grpc": {"cluster_name": "away"}},
        "transport_api_version": "V3",
    }
    kind = "extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig"
    parts.manager["access_log"].append(extension("envoy.access_loggers.http_grpc", kind, common_config=common))


def traced(parts: Parts) -> None:
    service = {"envoy_grpc": {"cluster_name": "agent"}}
    kind = "config.trace.v3.OpenTelemetryConfig"
    parts.manager["tracing"] = {"provider": extension("envoy.tracers.opentelemetry", kind, grpc_service=service)}


def statistics(parts: Parts) -> None:
    address = {"socket_address": {"address": FOREIGN, "port_value": 8125}}
    kind = "config.metrics.v3.StatsdSink"
    parts.bootstrap["stats_sinks"] = [extension("envoy.stat_sinks.statsd", kind, address=address)]


def foreign_source(parts: Parts) -> None:
    parts.manager["rds"]["config_source"] = {"path_config_source": {"path": "/tmp/rds.json"}}


def endpoint(**address: Any) -> Hole:
    return lambda parts: parts.endpoint["address"]["socket_address"].update(address)


def other_health(parts: Parts) -> None:
    other = {"socket_address": {"address": FOREIGN, "port_value": 80}}
    parts.endpoint["health_check_config"] = {"address": other}


def more_addresses(parts: Parts) -> None:
    parts.endpoint["additional_addresses"] = [{"address": {"socket_address": {"address": FOREIGN, "port_value": 80}}}]


def callers_choice(parts: Parts) -> None:
    parts.dispatch["route"]["cluster_header"] = "x-cluster"


def made_of_the_callers(parts: Parts) -> None:
    header = {"header": {"key": NOWHERE, "value": "%REQ(x-cluster)%"}}
    parts.manager["early_header_mutation_extensions"][0]["typed_config"]["mutations"].append({"append": header})


def other_filter(parts: Parts) -> None:
    (filters,) = (f["typed_config"] for f in parts.manager["http_filters"] if f["name"] == BODIES)
    library = filters["dynamic_module_config"]["module"]["local"]
    library["filename"] = library["filename"].replace("/bodies.so", "/./bodies.so")


def egress_of_a_name(parts: Parts) -> None:
    (cluster,) = (c for c in parts.clusters if c["name"] == "egress")
    cluster["type"] = "STRICT_DNS"


def passes_of_callers(parts: Parts) -> None:
    """Headers of the gateway's own are dropped but for the pass."""
    mutations = parts.manager["early_header_mutation_extensions"][0]["typed_config"]["mutations"]
    mutations[0]["remove_on_match"]["key_matcher"]["prefix"] = "x-slm-r"


def decided_by_cluster(parts: Parts) -> None:
    service = parts.filters["envoy.filters.http.ext_authz"]["http_service"]
    service["authorization_response"]["allowed_upstream_headers"]["patterns"].append({"exact": NOWHERE})


def decided_by_any(parts: Parts) -> None:
    service = parts.filters["envoy.filters.http.ext_authz"]["http_service"]
    service["authorization_response"]["allowed_upstream_headers"]["patterns"] = [{"prefix": "x-slm-"}]


def nothing_stripped(parts: Parts) -> None:
    del parts.manager["early_header_mutation_extensions"]


HOLES: Final[Mapping[str, Hole]] = {
    "route to a cluster outside": forwarded,
    "weighted clusters": weighted,
    "mirror": mirrored,
    "matcher in a matcher": nested,
    "direct route": lambda p: (
        p.add_cluster(),
        p.host.pop("matcher"),
        p.host.update(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "away"}}]),
    ),
    "plug-in that chooses clusters": plug_in,
    "redirect to another host": lambda p: (
        p.route.pop("route"),
        p.route.update(redirect={"host_redirect": "api.example"}),
    ),
    "internal redirect": lambda p: p.forward.update(internal_redirect_policy={"max_internal_redirects": 1}),
    "direct response from a file": lambda p: (
        p.route.pop("route"),
        p.route.update(direct_response={"status": 200, "body": {"filename": "/etc/hostname"}}),
    ),
    "header a caller can bring": callers_choice,
    "compiled filter from elsewhere": other_filter,
    "headers not stripped": nothing_stripped,
    "header made of the caller's": made_of_the_callers,
    "unknown header matcher": lambda p: p.route["match"].update(
        headers=[
            {
                "name": "a",
                "string_match": {
                    "custom": extension(
                        "x",
                        "extensions.string_matcher.lua.v3.Lua",
                        source_code={"inline_string": "function envoy_match(t) return true end"},
                    )
                },
            }
        ]
    ),
    "Lua calls a cluster": lua,
    "Lua in front of the constants": lua_head,
    "Lua a route names": lua_named,
    "Lua out of a constant": lua_in_data,
    "Lua in the listener": default_lua,
    "keys from a server": remote_keys,
    "names resolved strictly": resolving("STRICT_DNS"),
    "names resolved logically": resolving("LOGICAL_DNS"),
    "where the caller wanted": original,
    "forward proxy": forward_proxy,
    "TCP proxy": tcp_proxy,
    "ext_authz": decision,
    "decided elsewhere": decided_elsewhere,
    "undecided passes": undecided_passes,
    "decision with more fields": decision_signed,
    "ext_proc": processing,
    "tap": tap,
    "discovered filter": discovered,
    "log over gRPC": grpc_log,
    "tracing": traced,
    "CONNECT": lambda p: p.manager.update(upgrade_configs=[{"upgrade_type": "CONNECT"}]),
    "statistics sent away": statistics,
    "configuration from elsewhere": foreign_source,
    "foreign endpoint": endpoint(address=FOREIGN),
    "other port of a pod": endpoint(port_value=22),
    "metadata server": endpoint(address="169.254.169.254", port_value=80),
    "health checks elsewhere": other_health,
    "second address": more_addresses,
    "admin on a port": lambda p: p.bootstrap["admin"].update(
        address={"socket_address": {"address": "0.0.0.0", "port_value": 9901}}
    ),
    "agent elsewhere": lambda p: p.bootstrap["static_resources"]["clusters"][0].update(
        load_assignment=away("agent")["load_assignment"]
    ),
    "upstream bound elsewhere": lambda p: p.cluster.update(
        upstream_bind_config={"source_address": {"address": "0.0.0.0", "port_value": 0}}
    ),
    "upstream transport": lambda p: p.cluster.update(
        transport_socket=extension(
            "envoy.transport_sockets.http_11_proxy",
            "extensions.transport_sockets.http_11_proxy.v3.Http11ProxyUpstreamTransport",
            transport_socket=extension(
                "envoy.transport_sockets.raw_buffer", "extensions.transport_sockets.raw_buffer.v3.RawBuffer"
            ),
        )
    ),
    "a model's route to the egress": lambda p: p.forward.update(cluster="egress"),
    "a model's route to the egress in part": lambda p: (
        p.forward.pop("cluster"),
        p.forward.update(weighted_clusters={"clusters": [{"name": BOT, "weight": 9}, {"name": "egress", "weight": 1}]}),
    ),
    "a model's requests told to the egress": lambda p: p.forward.update(
        request_mirror_policies=[{"cluster": "egress"}]
    ),
    "decided by the egress": lambda p: p.filters["envoy.filters.http.ext_authz"]["http_service"]["server_uri"].update(
        cluster="egress"
    ),
    "to the egress without a pass": lambda p: p.leave["match"].pop("headers"),
    "to the egress with another header": lambda p: p.leave["match"]["headers"][0].update(name="x-slm-target"),
    "to the egress again": lambda p: p.leave["route"].update(retry_policy={"num_retries": 1, "retry_on": "5xx"}),
    "to the egress again where it is to come back": lambda p: p.back["route"]["retry_policy"].pop("retry_priority"),
    "to the egress twice, then back": lambda p: p.back["route"]["retry_policy"].update(num_retries=2),
    "to the egress again, every second time": lambda p: p.back["route"]["retry_policy"]["retry_priority"][
        "typed_config"
    ].update(update_frequency=2),
    "nothing behind the egress": lambda p: p.ways.pop(),
    "the egress behind the egress": lambda p: p.ways.insert(1, {**p.ways[0], "priority": 1}),
    "another socket behind the egress": lambda p: p.ways[1]["lb_endpoints"][0]["endpoint"]["address"]["pipe"].update(
        path=Site().agent_socket
    ),
    "out again from the way back": lambda p: answered_inside(p).append({"exact": "x-slm-pass"}),
    "passes through the way back": lambda p: p.innermost.pop("early_header_mutation_extensions"),
    "a way back on another socket": lambda p: p.inner["address"]["pipe"].update(path="/run/other.sock"),
    "answers judged by another cluster": lambda p: judge(p, "agent"),
    "answers judged by the egress": lambda p: judge(p, "egress"),
    "answers judged elsewhere": agent_for_lua,
    "passes through where answers are judged": lambda p: p.judging.pop("early_header_mutation_extensions"),
    "a door for judged answers on another socket": lambda p: p.judged["address"]["pipe"].update(path="/run/x.sock"),
    "to the egress to be judged": lambda p: way_to_judge(p, cluster="egress"),
    "to be judged elsewhere": lambda p: (p.add_cluster(), way_to_judge(p, cluster="away")),
    "to the egress as all are sent": lambda p: p.leave["route"].pop("retry_policy"),
    "to the egress and elsewhere": lambda p: p.leave["route"].update(request_mirror_policies=[{"cluster": BOT}]),
    "to the egress with the caller's key": lambda p: p.leave.pop("request_headers_to_remove"),
    "a pass that callers bring": passes_of_callers,
    "a cluster that who decides names": decided_by_cluster,
    "headers that who decides makes up": decided_by_any,
    "an egress elsewhere": lambda p: p.egress["address"]["socket_address"].update(address=FOREIGN),
    "another port of the egress": lambda p: p.egress["address"]["socket_address"].update(port_value=22),
    "a gateway as the egress": lambda p: p.egress["address"]["socket_address"].update(
        address="10.0.0.7", port_value=10090
    ),
    "a model at the egress": endpoint(address="10.0.2.9", port_value=10095),
    "an egress by its name": egress_of_a_name,
    "original destination of a connection": lambda p: p.listener.update(
        listener_filters=[
            extension("envoy.filters.listener.original_dst", "extensions.filters.listener.original_dst.v3.OriginalDst")
        ]
    ),
}
"""By name: what each does to a configuration."""
