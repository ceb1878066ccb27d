"""The chain every request passes: token, door, bodies, target, rate, router.

Between target and rate, for requests to routes with rules only: the decision, and what puts it into effect.
"""

from typing import Any

from smallmodel_operator.api.names import GATEWAY
from smallmodel_operator.gateway.state import Issuer, State
from smallmodel_operator.gateway.xds import decide
from smallmodel_operator.gateway.xds.scripts import DECIDED, DOOR, HMAC, TARGET, default, program
from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.gateway.xds.words import BODIES, RATE_LIMIT, extension


def filters(state: State, site: Site) -> list[dict[str, Any]]:
    """HTTP filters in order."""
    chain = [
        _lua(DOOR),
        _bodies(site),
        _lua(TARGET, source_codes={HMAC: {"inline_string": program(HMAC)}}),
        decide.decides(),
        {**_lua(DECIDED), "disabled": True},
    ]
    if state.issuer is not None:
        chain.insert(0, _tokens(state.issuer))
    return [*chain, _rate(), _router()]


def _lua(name: str, **more: Any) -> dict[str, Any]:
    code = {"inline_string": default(name)}
    return extension(name, "envoy.extensions.filters.http.lua.v3.Lua", default_source_code=code, **more)


def _bodies(site: Site) -> dict[str, Any]:
    """Code of our own (operator/bodies): a request's route by address and body together, so that no Lua runs on the way
    in where both name the same model, and the tokens an answer says it has."""
    return extension(
        BODIES,
        "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
        dynamic_module_config={"module": {"local": {"filename": str(site.bodies)}}, "do_not_close": True},
        filter_name=BODIES,
    )


def _tokens(issuer: Issuer) -> dict[str, Any]:
    """ServiceAccount tokens. None or a bad one is no refusal here: the door decides, keys are credentials too.

    Only where the header has a dot, as every token has: a key without one is not tried as a token.
    """
    provider = {
        "issuer": issuer.issuer,
        "audiences": [GATEWAY],
        "local_jwks": {"inline_string": issuer.keys},
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        "forward": True,
        "payload_in_metadata": "token",
        "failed_status_in_metadata": "failed",
        "require_expiration": True,
        "clock_skew_seconds": 10,
        "jwt_cache_config": {"jwt_cache_size": 1000},
    }
    dotted = {"name": "authorization", "string_match": {"contains": "."}}
    either = {"requires_any": {"requirements": [{"provider_name": "cluster"}, {"allow_missing_or_failed": {}}]}}
    return extension(
        "envoy.filters.http.jwt_authn",
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers={"cluster": provider},
        rules=[{"match": {"prefix": "/", "headers": [dotted]}, "requires": either}],
    )


def _rate() -> dict[str, Any]:
    """Models with a limit bring one with their route; where no model has one the dispatch route leaves it out."""
    kind = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
    return {**extension(RATE_LIMIT, kind, stat_prefix="callers"), "disabled": True}


def _router() -> dict[str, Any]:
    return extension(
        "envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True
    )
