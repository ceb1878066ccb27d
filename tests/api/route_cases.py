"""ModelRoutes the API must refuse or accept."""

import copy
from typing import Any

from tests.api.objects import Case

SMALL = {"name": "small", "smallModelRef": {"name": "bot"}}
LARGE = {"name": "large", "smallModelRef": {"name": "llm", "namespace": "shared"}}


def route(*targets: dict[str, Any], name: str = "desk", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ModelRoute",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"targets": copy.deepcopy(list(targets)), **copy.deepcopy(spec)},
    }


def weighing(target: dict[str, Any], weight: int) -> dict[str, Any]:
    return {**target, "weight": weight}


def choosing(
    match: dict[str, Any], target: str = "large", ref: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """A route with one rule; `ref`: of the classifier's ConfigMap."""
    classifier = {} if ref is None else {"classifier": {"configMapRef": ref}}
    rules = [{"name": "one", "match": match, "target": target}]
    return route(SMALL, LARGE, **{"default": "small", "rules": rules, **classifier, **spec})


def timing(order: list[str] | None, target: str | None = None, default: str = "small", **within: Any) -> dict[str, Any]:
    """A route with one rule by deadline."""
    rule = {"name": "in-time"} | ({} if order is None else {"withinDeadline": {"order": order, **within}})
    return route(SMALL, LARGE, default=default, rules=[rule | ({} if target is None else {"target": target})])


def outside(url: str, **external: Any) -> dict[str, Any]:
    """A route with one target inside and one outside. `model` None: it has none."""
    given = {"url": url, "model": "big-1", **external}
    return route(
        SMALL, {"name": "cloud", "external": {k: v for k, v in given.items() if v is not None}}, default="small"
    )


def bounded(access: dict[str, Any] | None = None, **boundary: Any) -> dict[str, Any]:
    """The same, with a boundary."""
    return route(SMALL, CLOUD, default="small", boundary=boundary, **({"access": access} if access else {}))


def recognizing(**recognizer: Any) -> dict[str, Any]:
    """With one recognizer; a field of None is left out."""
    given = {"name": "ner", "detectors": ["Names"], "service": {"name": "ner"}, **recognizer}
    entry = {name: value for name, value in given.items() if value is not None}
    return bounded(external="WhenClean", detectors=["Pii", "Names"], recognizers=[entry])


CLOUD = {"name": "cloud", "external": {"url": "https://api.example.com/v1", "model": "big-1"}}
CRM = {"apiKeys": [{"name": "crm", "secretRef": {"name": "crm-key", "key": "key"}}]}
_REST = "`external.url` must end before /chat/completions"
_URL = "`external.url` must be like https://api.example.com/v1"
_ONE_CALLER = "must have exactly one of `namespace`"

TASKS = {"name": "departments"}
MONTH = {"per": "Route", "period": "Month", "requests": 1000}


def limited(*budgets: dict[str, Any]) -> dict[str, Any]:
    return route(SMALL, budgets=list(budgets))


def paid(*budgets: dict[str, Any], **price: str | None) -> dict[str, Any]:
    """A route with a target outside that asks for money; a value of None is left out."""
    given = {k: v for k, v in {**PRICE, **price}.items() if v is not None}
    cloud = {**CLOUD, "external": {**CLOUD["external"], "price": given}}
    return route(SMALL, cloud, default="small", budgets=list(budgets))


PRICE = {"promptPerMillionTokens": "0.15", "generatedPerMillionTokens": "0.60", "currency": "EUR"}
EUROS = {"per": "Route", "period": "Month", "money": "400", "currency": "EUR"}
_EITHER = "must have exactly one of `requests`, `tokens` and `money`"
_NEEDS_PRICES = "each of them must have a `price` in the budget's currency"
_CURRENCY = "must have `currency` with `money`, and none without it"


def escalating(*order: str, default: str = "small", **escalation: Any) -> dict[str, Any]:
    return route(SMALL, LARGE, default=default, escalation={"order": list(order), **escalation})


SURE = {"below": "0.8"}
HARD = {"classifierRef": {"name": "hardness"}}
_ONLY_ONE = "must be unset where a target has a `weight`"
_WHO = "must name the target of requests that name none"

BAD_ROUTES = (
    Case("route-name-dot", route(SMALL, name="a.b"), "use - instead: a-b", "use - instead: a-b"),
    Case("route-name-long", route(SMALL, name="a" * 46), "a Service is named after it", "a Service is named after it"),
    Case("route-of-the-gateway", route(SMALL, name="smallmodel-gateway"), "the route's would lead nowhere",
         "the route's would lead nowhere"),
    Case("route-to-nowhere", route(), "targets", "targets"),
    Case("route-default-unknown", route(SMALL, LARGE, default="larger"), "must be the name of one of", "must be the"),
    Case("route-default-and-weights", route(weighing(SMALL, 1), LARGE, default="large"), _ONLY_ONE, _ONLY_ONE),
    Case("route-neither", route(SMALL, LARGE), _WHO, _WHO),
    Case("route-weights-of-nothing", route(weighing(SMALL, 0), weighing(LARGE, 0)), _WHO, _WHO),
    Case("route-weight-below", route(weighing(SMALL, -1)), "weight", "weight"),
    Case("route-weight-beyond", route(weighing(SMALL, 1001)), "weight", "weight"),
    Case("route-target-name", route({**SMALL, "name": "a/b"}), "name", "name"),
    Case("route-without-a-model", route({"name": "small"}), "exactly one of `smallModelRef`", "exactly one of"),
    Case("rule-to-nowhere", choosing({"requires": ["Tools"]}, "larger"), "must be the name of one of", "must be the"),
    Case("rules-without-a-default", choosing({"requires": ["Tools"]}, default=""), "must name the target", "must name"),
    Case("rules-and-weights", route(weighing(SMALL, 1), LARGE, rules=[{"name": "r", "match": {"requires": ["Tools"]},
         "target": "large"}]), "weights cannot be combined with rules", "weights cannot be combined with rules"),
    Case("rule-by-class-without-a-classifier", choosing({"taskClass": "legal"}), "must be given where a rule has",
         "must be given where a rule has"),
    Case("classifier-that-nobody-asks", choosing({"requires": ["Tools"]}, ref=TASKS), "nobody would ask it",
         "nobody would ask it"),
    Case("rule-for-everything", choosing({}), "a rule for every request", "a rule for every request"),
    Case("rule-that-requires-nothing", choosing({"requires": []}), "a rule for every request", "a rule for every"),
    Case("rule-requires-the-unknown", choosing({"requires": ["Vision"]}), "Unsupported value", "requires"),
    Case("rule-by-adapter-that-is-no-name", choosing({"adapter": "HR"}), "adapter", "adapter"),
    Case("rule-by-adapter-to-nowhere", choosing({"adapter": "hr"}, "larger"), "must be the name of one of", "must be"),
    Case("rule-by-adapter-outside", route(SMALL, CLOUD, default="small", rules=[{"name": "r", "target": "cloud",
         "match": {"adapter": "hr"}}]), "must be one with `smallModelRef`", "must be one with `smallModelRef`"),
    Case("rule-by-adapter-of-embeddings", choosing({"adapter": "hr", "requires": ["Embeddings"]}),
         "must not give both", "must not give both"),
    Case("rule-by-deadline", choosing({"deadlineMilliseconds": 200}), "unknown field", "deadlineMilliseconds"),
    Case("rule-without-a-target", timing(None), "exactly one of `target` and `withinDeadline`", "exactly one of"),
    Case("rule-with-both", timing(["large"], target="small"), "exactly one of `target` and `withinDeadline`",
         "exactly one of"),
    Case("deadline-of-nobody", timing([]), "order", "order"),
    Case("deadline-of-nine", timing([f"t{n}" for n in range(9)]), "order", "order"),
    Case("deadline-twice", timing(["large", "large"]), "Duplicate value", "order"),
    Case("deadline-to-nowhere", timing(["small", "larger"]), "must name targets of `spec.targets`",
         "must name targets of `spec.targets`"),
    Case("deadline-outside", route(SMALL, CLOUD, default="small", rules=[{"name": "r",
         "withinDeadline": {"order": ["cloud"]}}]), "nobody measures", "nobody measures"),
    Case("deadline-then-wait", timing(["large"], onMissed="Wait"), "Unsupported value", "onMissed"),
    Case("deadline-without-a-default", timing(["large"], default=""), "must name the target", "must name"),
    Case("rule-context-below", choosing({"contextTokensOver": 0}), "contextTokensOver", "contextTokensOver"),
    Case("classifier-of-another-namespace", choosing({"taskClass": "legal"}, ref={**TASKS, "namespace": "shared"}),
         "unknown field", "namespace"),
    Case("classifier-threshold", choosing({"taskClass": "legal"}, classifier={"configMapRef": TASKS,
         "threshold": "1.5"}), "threshold", "threshold"),
    Case("target-of-both-kinds", route({**SMALL, "external": CLOUD["external"]}), "exactly one of", "exactly one of"),
    Case("target-outside-with-a-weight", route(weighing(SMALL, 1), weighing(CLOUD, 0)), "`weight` must be unset on",
         "`weight` must be unset on"),
    Case("routes-default-outside", route(SMALL, CLOUD, default="cloud"), "must name a target with `smallModelRef`",
         "must name a target with `smallModelRef`"),
    Case("route-with-nothing-inside", route(CLOUD), "need somewhere to go", "need somewhere to go"),
    Case("target-outside-without-a-model", outside("https://api.test.example/v1", model=None), "model", "model"),
    Case("target-outside-with-quotes", outside("https://api.test.example/v1", model='a","b'), "model", "model"),
    Case("target-outside-of-another-namespace", outside("https://api.test.example/v1", apiKeySecretRef={
         "name": "cloud", "namespace": "shared", "key": "key"}), "unknown field", "namespace"),
    Case("target-outside-with-half-a-price", outside("https://api.test.example/v1", price={"currency": "EUR"}),
         "price.promptPerMillionTokens: Required value", "promptPerMillionTokens"),
    *(Case(f"target-outside-silent-{name}", outside("https://api.test.example/v1", silence=given), word, word)
      for name, given, word in (
        ("never", {"streamSeconds": 0}, "streamSeconds"), ("for-long", {"streamSeconds": 301}, "streamSeconds"),
        ("at-once", {"answerSeconds": 0}, "answerSeconds"), ("for-longer", {"answerSeconds": 3600}, "answerSeconds"),
        ("in-between", {"chunkSeconds": 3}, "chunkSeconds"),
    )),
    *(
        Case(f"url-{name}", outside(url), _URL, _URL)
        for name, url in (
            ("plain", "http://api.test.example/v1"), ("of-an-address", "https://192.0.2.1/v1"),
            ("of-an-odd-address", "https://0x7f.1/v1"), ("of-a-short-name", "https://api/v1"),
            ("of-six", "https://[::1]/v1"), ("in-upper-case", "https://API.example.com/v1"),
            ("with-a-user", "https://me@api.example.com/v1"), ("with-a-query", "https://api.example.com/v1?a=b"),
            ("with-a-fragment", "https://api.example.com/v1#a"), ("up", "https://api.example.com/v1/../v2"),
            ("with-a-dot", "https://api.example.com/."), ("with-a-blank", "https://api.example.com/v 1"),
            ("of-port-0", "https://api.example.com:0/v1"), ("of-a-high-port", "https://api.example.com:65536/v1"),
            ("without-a-port", "https://api.example.com:/v1"), ("escaped", "https://api.example.com/%2e%2e/v1"),
            ("of-two-slashes", "https://api.example.com//v1"), ("of-a-dot-at-the-end", "https://api.example.com./v1"),
            ("of-a-dash", "https://-api.example.com/v1"), ("and-a-line", "https://api.example.com/v1\n"),
        )
    ),
    *(
        Case(f"url-whole-{n}", outside(url), _REST, _REST)
        for n, url in enumerate(
            ("https://api.example.com/v1/chat/completions", "https://api.example.com/chat/completions/")
        )
    ),
    Case("url-too-long", outside(f"https://api.example.com/{'v' * 250}"), "url", "url"),
    Case("boundary-without-a-name", bounded(trusted=[{"name": "a", "labels": ["public"]}]), _ONE_CALLER, _ONE_CALLER),
    Case("boundary-with-two-callers", bounded(trusted=[{"name": "a", "namespace": "crm", "apiKey": "crm",
         "labels": ["public"]}]), _ONE_CALLER, _ONE_CALLER),
    Case("boundary-that-trusts-for-nothing", bounded(trusted=[{"name": "a", "namespace": "crm", "labels": []}]),
         "without a label nothing leaves", "without a label nothing leaves"),
    Case("boundary-of-an-unknown-key", bounded(trusted=[{"name": "a", "apiKey": "crm", "labels": ["public"]}]),
         "the name of one of `spec.access.apiKeys`", "the name of one of `spec.access.apiKeys`"),
    Case("boundary-always", bounded(external="Always"), "Unsupported value", "external"),
    Case("boundary-unlabelled-outside", bounded(unlabelled="WhenClean"), "Unsupported value", "unlabelled"),
    Case("boundary-detector", bounded(detectors=["Faces"]), "Unsupported value", "detectors"),
    Case("boundary-detector-twice", bounded(detectors=["Pii", "Pii"]), "Duplicate value", "detectors"),
    Case("boundary-label", bounded(labels=["top secret"]), "labels", "labels"),
    Case("boundary-blank-term", bounded(denyTerms=["  "]), "denyTerms", "denyTerms"),
    Case("boundary-pattern-without-a-name", bounded(patterns=[{"regex": "a"}]), "name", "name"),
    Case("boundary-recognizer", bounded(recognizerRef={"name": "ner"}), "unknown field", "recognizerRef"),
    *(Case(f"recognizer-{name}", recognizing(**more), words, words) for name, more, words in (
        ("by-nobody", {"service": None}, "must have exactly one of `service`"),
        ("by-both", {"smallModelRef": {"name": "nurse"}}, "must have exactly one of `service`"),
        ("of-what-is-not-looked-for", {"detectors": ["Phi"]}, "must be among `spec.boundary.detectors`"),
        ("of-nothing", {"detectors": []}, "detectors"),
        ("twice-of-one", {"detectors": ["Names", "Names"]}, "detectors"),
        ("of-patterns", {"detectors": ["Pii"]}, "detectors"),
        ("hasty", {"timeoutMilliseconds": 10}, "timeoutMilliseconds"),
        ("patient", {"timeoutMilliseconds": 60000}, "timeoutMilliseconds"),
        ("too-sure", {"service": {"name": "ner", "minScore": "1.5"}}, "minScore"),
        ("of-odd-entities", {"service": {"name": "ner", "entities": ["a person"]}}, "entities"),
        ("of-odd-language", {"service": {"name": "ner", "language": "English"}}, "language"),
        ("outside", {"service": {"name": "ner.example.com"}}, "name"),
        ("of-another-namespace", {"service": {"name": "ner", "namespace": "shared"}}, "namespace"),
        ("model-of-another-namespace", {"service": None, "smallModelRef": {"name": "n", "namespace": "b"}},
         "namespace"),
        ("by-url", {"service": None, "url": "https://ner.example.com"}, "url"),
    )),
    Case("budget-of-nothing", limited({"per": "Route", "period": "Day"}), _EITHER, _EITHER),
    Case("budget-of-both", limited({**MONTH, "tokens": 5}), _EITHER, _EITHER),
    Case("budget-of-money-too", paid({**MONTH, "money": "400", "currency": "EUR"}), _EITHER, _EITHER),
    Case("budget-of-money-inside", limited(EUROS), _NEEDS_PRICES, _NEEDS_PRICES),
    Case("budget-of-money-without-a-price", route(SMALL, CLOUD, default="small", budgets=[EUROS]), _NEEDS_PRICES,
         _NEEDS_PRICES),
    Case("budget-of-money-with-one-price", route(SMALL, *paid()["spec"]["targets"][1:], {**CLOUD, "name": "other"},
         default="small", budgets=[EUROS]), _NEEDS_PRICES, _NEEDS_PRICES),
    Case("budget-of-other-money", paid({**EUROS, "currency": "USD"}), _NEEDS_PRICES, _NEEDS_PRICES),
    Case("budgets-of-two-currencies", paid(EUROS, {**EUROS, "per": "Caller", "currency": "USD"}), _NEEDS_PRICES,
         _NEEDS_PRICES),
    Case("budget-of-money-of-no-currency", paid({"per": "Route", "period": "Day", "money": "5"}), _CURRENCY, _CURRENCY),
    Case("budget-of-requests-in-euros", paid({**MONTH, "currency": "EUR"}), _CURRENCY, _CURRENCY),
    Case("budget-of-no-money", paid({**EUROS, "money": "0.00"}), "must be above 0", "must be above 0"),
    Case("budget-of-less-than-a-millionth", paid({**EUROS, "money": "0.0000001"}), "money", "money"),
    Case("budget-of-a-float", paid({**EUROS, "money": 400.5}), "money", "money"),
    Case("budgets-of-the-same-money", paid(EUROS, {**EUROS, "money": "7"}), "must differ from the others",
         "must differ from"),
    Case("price-of-one-kind", paid(generatedPerMillionTokens=None), "generatedPerMillionTokens", "generatedPerMillion"),
    Case("price-of-no-currency", paid(currency=None), "currency", "currency"),
    Case("price-below", paid(promptPerMillionTokens="-1"), "promptPerMillionTokens", "promptPerMillionTokens"),
    Case("price-of-a-request", paid(perRequest="1"), "unknown field", "perRequest"),
    Case("budget-of-none", limited({**MONTH, "requests": 0}), "requests", "requests"),
    Case("budget-for-nobody", limited({"period": "Day", "requests": 5}), "per", "per"),
    Case("budget-per-team", limited({**MONTH, "per": "Team"}), "Unsupported value", "per"),
    Case("budget-per-hour", limited({**MONTH, "period": "Hour"}), "Unsupported value", "period"),
    Case("budget-then-local", limited({**MONTH, "onExceeded": "LocalOnly"}), "nothing leaves there anyhow",
         "nothing leaves there anyhow"),
    Case("budget-then-sleep", limited({**MONTH, "onExceeded": "Sleep"}), "Unsupported value", "onExceeded"),
    Case("budget-soft-beyond", limited({**MONTH, "softPercent": 100}), "softPercent", "softPercent"),
    Case("budgets-of-the-same", limited(MONTH, {**MONTH, "requests": 7}), "must differ from the others",
         "must differ from"),
    Case("content-all", route(SMALL, audit={"content": "All"}), 'supported values: "Disabled", "Redacted", "Full"',
         "content"),
    Case("content-lower", route(SMALL, audit={"content": "full"}), "supported values", "content"),
    Case("audit-hmac", route(SMALL, audit={"requestHMAC": "Enabled"}), "unknown field", "requestHMAC"),
    Case("tools-of-nothing", route(SMALL, tools={}), "must give `allow`", "must give `allow`"),
    Case("tools-that-verify-nothing", route(SMALL, tools={"verifyChoice": False}), "must give `allow`", "must give"),
    Case("tools-name", route(SMALL, tools={"allow": ["rm -rf"]}), "spec.tools.allow", "allow"),
    Case("tools-name-empty", route(SMALL, tools={"allow": [""]}), "spec.tools.allow", "allow"),
    Case("tools-twice", route(SMALL, tools={"allow": ["find", "find"]}), "Duplicate value", "allow"),
    Case("tools-no-calls", route(SMALL, tools={"maxCallsPerConversation": 0}), "maxCallsPerConversation", "maxCalls"),
    Case("tools-no-tokens", route(SMALL, tools={"maxTokensPerConversation": 0}), "maxTokensPerConversation",
         "maxTokens"),
    Case("tools-denied", route(SMALL, tools={"allow": ["find"], "deny": ["drop"]}), 'unknown field "spec.tools.deny"',
         "deny"),
    Case("escalation-to-nowhere", escalating("larger", complexity=HARD), "must name targets of", "must name targets"),
    Case("escalation-to-nobody", escalating(complexity=HARD), "order", "order"),
    Case("escalation-twice-to-one", escalating("large", "large", complexity=HARD), "Duplicate value", "order"),
    Case("escalation-without-a-default", escalating("large", default="", complexity=HARD), "that are not escalated",
         "that are not escalated"),
    Case("escalation-to-the-default", escalating("large", "small", complexity=HARD), "must not name `spec.default`",
         "must not name `spec.default`"),
    Case("escalation-that-never-is", escalating("large", onUnavailable=False), "must say when", "must say when"),
    Case("escalation-threshold", escalating("large", complexity={**HARD, "threshold": "1.5"}), "threshold",
         "threshold"),
    Case("escalation-of-nothing", escalating("large", complexity=HARD, maxPercent=0), "maxPercent", "maxPercent"),
    Case("escalation-window", escalating("large", complexity=HARD, windowSeconds=5), "windowSeconds", "windowSeconds"),
    Case("escalation-by-confidence-of-mode", escalating("large", confidence={**SURE, "mode": "Buffered"}),
         "unknown field", "mode"),
    Case("escalation-by-confidence-from-nowhere", escalating("large", confidence={}), "below", "below"),
    Case("escalation-by-confidence-of-nothing", escalating("large", confidence={"below": ""}), "below", "below"),
    Case("escalation-by-confidence-beyond", escalating("large", confidence={"below": "1.01"}), "below", "below"),
    Case("escalation-by-another-measure", escalating("large", confidence={**SURE, "measure": "Median"}), "measure",
         "measure"),
    Case("escalation-by-both", escalating("large", confidence=SURE, complexity=HARD), "must have one of `complexity`",
         "must have one of `complexity`"),
)  # fmt: skip

GOOD_ROUTES = (
    Case("route", route(SMALL)),
    Case("route-with-a-default", route(SMALL, LARGE, default="large")),
    Case("route-with-weights", route(weighing(SMALL, 90), weighing(LARGE, 10))),
    Case("route-one-by-name-only", route(weighing(SMALL, 1), LARGE)),
    Case("route-of-one-with-a-weight", route(weighing(SMALL, 5))),
    Case(
        "budgets",
        limited(
            MONTH,
            {"per": "Route", "period": "Month", "tokens": 1_000_000_000_000, "softPercent": 80},
            {"per": "Caller", "period": "Day", "tokens": 50_000, "onExceeded": "Refuse"},
            {**MONTH, "period": "Day"},
        ),
    ),
    Case("price", paid()),
    Case("price-of-nothing", paid(promptPerMillionTokens="0", generatedPerMillionTokens="0.000001")),
    Case("budgets-of-money", paid(EUROS, {**EUROS, "period": "Day", "money": "20.50", "onExceeded": "LocalOnly"},
         {**EUROS, "per": "Caller", "money": "0.000001", "softPercent": 80}, MONTH,
         {"per": "Route", "period": "Month", "tokens": 9})),
    Case("budget-of-what-leaves", route(SMALL, CLOUD, default="small", budgets=[{**MONTH, "onExceeded": "LocalOnly"}])),
    Case("rule-by-class", choosing({"taskClass": "human resources", "requires": ["Tools", "JsonSchema"]}, ref=TASKS)),
    Case(
        "rule-by-class-and-key",
        choosing(
            {"taskClass": "legal"}, classifier={"configMapRef": {**TASKS, "key": "tasks-2.json"}, "threshold": "0.6"}
        ),
    ),
    Case("rule-by-length", choosing({"contextTokensOver": 2000}, target="small")),
    Case("rule-by-adapter", choosing({"adapter": "hr", "contextTokensOver": 900})),
    Case("rule-by-deadline", timing(["large", "small"])),
    Case("rule-by-deadline-then-default", timing(["large"], onMissed="Default")),
    Case("rule-by-adapter-and-deadline", route(SMALL, LARGE, default="small", rules=[{"name": "r", "match": {
         "adapter": "hr"}, "withinDeadline": {"order": ["large", "small"], "onMissed": "Refuse"}}])),
    Case("tools-verified", route(SMALL, tools={"verifyChoice": True})),
    Case("tools-of-none", route(SMALL, tools={"allow": []})),
    Case(
        "tools-bounded",
        choosing(
            {"requires": ["Tools"]},
            tools={"allow": ["find-order", "Get_1"], "maxCallsPerConversation": 8, "maxTokensPerConversation": 4000},
        ),
    ),
    Case("escalation", escalating("large", complexity={**HARD, "threshold": "0.62"}, maxPercent=10, windowSeconds=60)),
    Case("escalation-by-confidence", escalating("large", confidence=SURE)),
    Case("escalation-by-whole", escalating("large", confidence={"below": "0", "measure": "Whole"}, onUnavailable=True)),
    Case("escalation-when-unavailable", escalating("large", onUnavailable=True)),
    Case("rule-for-embeddings", choosing({"requires": ["Embeddings"]})),
    Case("target-outside", outside("https://api.example.com")),
    Case("target-outside-of-a-port", outside("https://api.example.com:8443/v1/")),
    Case("target-outside-with-a-key", outside("https://a-1.b.example.com/openai/v1.0",
         apiKeySecretRef={"name": "cloud", "key": "key"})),
    Case("target-outside-and-weights", route(weighing(SMALL, 9), weighing(LARGE, 1), CLOUD)),
    Case("rule-to-the-outside", route(SMALL, CLOUD, default="small", rules=[{"name": "long", "target": "cloud",
         "match": {"contextTokensOver": 2000}}])),
    Case("recognizer", recognizing()),
    Case("recognizer-of-all", recognizing(timeoutMilliseconds=3000, service={"name": "ner", "language": "de",
         "entities": ["PERSON", "US_SSN"], "minScore": "0.35"})),
    Case("recognizer-by-a-model", recognizing(service=None, smallModelRef={"name": "nurse"})),
    Case("boundary-of-nothing-outside", route(SMALL, boundary={})),
    Case("boundary-of-all", bounded(
        CRM, external="WhenClean", unlabelled="Inside", detectors=["Pii", "Phi", "Names", "Pci", "Secrets"],
        labels=["internal"], patterns=[{"name": "case", "regex": "K-[0-9]{6}"}], denyTerms=["Project Heron"],
        trusted=[
            {"name": "desk", "namespace": "support", "labels": ["public"]},
            {"name": "bot", "serviceAccount": {"namespace": "crm", "name": "bot"}, "mayLabel": ["public", "internal"]},
            {"name": "crm", "apiKey": "crm", "labels": ["public"], "mayLabel": ["internal"]},
        ],
    )),
)  # fmt: skip
