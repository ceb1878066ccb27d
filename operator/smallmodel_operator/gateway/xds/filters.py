"""The chain every request passes: token, door, body's model, target, rate, router."""

from importlib.resources import files as package_files
from typing import Any, Final

from smallmodel_operator.api.names import GATEWAY
from smallmodel_operator.gateway.state import LARGEST_BODY_BYTES, Issuer, State
from smallmodel_operator.gateway.xds.words import LUA, RATE_LIMIT, extension, formatted

DOOR: Final = ("sha256", "answers", "address", "door")
TARGET: Final = ("answers", "target")


def script(parts: tuple[str, ...], domain: str) -> str:
    """The Lua of one filter: its parts in one text, the constants first."""
    folder = package_files("smallmodel_operator.gateway.xds") / "lua"
    texts = [(folder / f"{part}.lua").read_text(encoding="utf-8") for part in parts]
    constants = f'DOMAIN = "{domain}"\nLARGEST = {LARGEST_BODY_BYTES}\n'
    # One scope each: Lua allows a function 60 values from outside and 200 names of its own.
    return constants + "".join(f"do\n{text}end\n" for text in texts)


def filters(state: State) -> list[dict[str, Any]]:
    """HTTP filters in order."""
    chain = [_lua(script(DOOR, state.cluster_domain)), _body_model(), _lua(script(TARGET, state.cluster_domain))]
    if state.issuer is not None:
        chain.insert(0, _tokens(state.issuer))
    return [*chain, _rate(), _router()]


def _lua(text: str) -> dict[str, Any]:
    return extension(LUA, "envoy.extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": text})


def _body_model() -> dict[str, Any]:
    mutation = {"append": formatted("x-slm-body-model", "%REQUEST_BODY(model)%")}
    return extension(
        "envoy.filters.http.transform",
        "envoy.extensions.filters.http.transform.v3.TransformConfig",
        request_transformation={"headers_mutations": [mutation]},
    )


def _tokens(issuer: Issuer) -> dict[str, Any]:
    """ServiceAccount tokens. None or a bad one is no refusal here: the door decides, keys are credentials too."""
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
    either = {"requires_any": {"requirements": [{"provider_name": "cluster"}, {"allow_missing_or_failed": {}}]}}
    return extension(
        "envoy.filters.http.jwt_authn",
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers={"cluster": provider},
        rules=[{"match": {"prefix": "/"}, "requires": either}],
    )


def _rate() -> dict[str, Any]:
    """Does nothing by itself: models with a limit bring one with their route."""
    kind = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
    return extension(RATE_LIMIT, kind, stat_prefix="callers")


def _router() -> dict[str, Any]:
    return extension(
        "envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True
    )
