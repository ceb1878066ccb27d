"""States whose configuration is kept as files in golden/: one for each feature, small enough to read."""

from collections.abc import Mapping
from typing import Final

from tests.gateway.states import model, state_of

from smallmodel_operator.gateway.paths import TGI_LACKS
from smallmodel_operator.gateway.routed import Choice, Escalation, Lead, Route
from smallmodel_operator.gateway.state import Access, Endpoint, Issuer, State
from smallmodel_operator.routing.policy import Boundary, Confidence, External, Match, Rule, Trusted

_POD: Final = {"support/bot": 8080}
_JWKS: Final = (
    '{"keys":[{"alg":"RS256","e":"AQAB","kid":"one","kty":"RSA","n":"'
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
    "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
    'vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","use":"sig"}]}'
)

CASES: Final[Mapping[str, State]] = {
    "nothing": State(),
    "one-model": state_of((model("support/bot"),), _POD),
    "access": state_of(
        (model("support/bot", ("ns:crm", "sa:hr/portal", "key:support/bot/partner")), model("crm/notes")), _POD
    ),
    "limits": state_of((model("support/bot", requests_per_minute=600, max_body_bytes=65536),), _POD),
    "request-hmac": state_of((model("support/bot", request_key=2),), _POD),
    "off": state_of((model("support/bot", off=True),), {}),
    "stopped": state_of((model("support/bot", stopped=True), model("crm/notes")), _POD),
    "asleep": state_of((model("support/bot", may_sleep=True, max_wait=30.0),), {}, peers=("10.0.0.8", "10.0.0.7")),
    "several-pods": state_of(
        (model("support/bot"),),
        {},
        endpoints={"support/bot": (Endpoint("10.0.1.4", 8080), Endpoint("10.0.1.5", 8080), Endpoint("fd00::5", 8080))},
    ),
    "engine-without-embeddings": state_of((model("support/bot", engine="TGI", lacks=TGI_LACKS, digest=""),), _POD),
    "tokens": state_of((model("support/bot"),), _POD, issuer=Issuer("https://kubernetes.default.svc", _JWKS)),
    "tls": state_of((model("support/bot"),), _POD, tls=True),
    "other-domain": state_of((model("support/bot"),), _POD, cluster_domain="corp.internal"),
    "routes": state_of(
        (model("support/bot"), model("shared/llm", ("ns:support",))),
        _POD,
        routes={
            "support/desk": Route(
                "support",
                "desk",
                "",
                Access(frozenset({"ns:support", "ns:crm"})),
                (
                    Lead("small", "support/bot", 9),
                    Lead("large", "shared/llm", 1),
                    Lead("gone", "support/gone", 0),
                ),
            )
        },
    ),
    "rules": state_of(
        (model("support/bot"), model("support/legal", request_key=1), model("crm/notes")),
        _POD,
        routes={
            "support/desk": Route(
                "support",
                "desk",
                "",
                Access(frozenset({"ns:support"})),
                (Lead("small", "support/bot", 1), Lead("legal", "support/legal", 0), Lead("no", "crm/notes", 0)),
                choice=Choice((Rule("r", Match("legal"), "legal"),), "small"),
            )
        },
    ),
    "rules-by-adapter": state_of(
        (model("support/bot", lora=True, adapters=(("hr", 0), ("legal", 1))),),
        _POD,
        routes={
            "support/desk": Route(
                "support",
                "desk",
                "",
                Access(frozenset({"ns:support"})),
                (Lead("small", "support/bot", 1),),
                choice=Choice((Rule("r", Match(adapter="hr"), "small"),), "small"),
            )
        },
    ),
    "outside": state_of(
        (model("support/bot"),),
        _POD,
        egress=(Endpoint("10.0.2.9", 10095, ready=True),),
        routes={
            "support/desk": Route(
                "support",
                "desk",
                "",
                Access(frozenset({"ns:support"})),
                (Lead("small", "support/bot", 1), Lead("cloud", "support/desk/cloud", 0, "vendor/big-1:latest")),
                choice=Choice((Rule("r", Match(), "cloud"),), "small"),
                boundary=Boundary(External.WHEN_CLEAN, trusted=(Trusted("ns:support", ("public",)),)),
            )
        },
    ),
    "judged": state_of(
        (model("support/bot"), model("support/llm")),
        {"support/bot": 8080, "support/llm": 8081},
        routes={
            "support/front": Route(
                "support",
                "front",
                "",
                Access(frozenset({"ns:support"})),
                (Lead("small", "support/bot", 1), Lead("large", "support/llm", 0)),
                choice=Choice((), "small", escalation=Escalation(("large",), confidence=Confidence(0.8))),
            )
        },
    ),
    "percent": state_of((model("support/bot", digest="100%"),), _POD),
}
