"""Objects the API must refuse or accept. `server` and `lint` are parts of the message each of the two must give."""

import copy
from typing import Any

from tests.api.objects import Case as Case
from tests.api.route_cases import BAD_ROUTES, GOOD_ROUTES

DIGEST = "sha256:" + "0123456789abcdef" * 4
HEX = "0123456789abcdef" * 4
COMMIT = HEX[:40]


def model(name: str = "ok", **spec: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"source": {"uri": f"oci://registry.internal/slm/weights@{DIGEST}"}}
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "SmallModel",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {**base, **copy.deepcopy(spec)},
    }


def latency(**changes: Any) -> dict[str, Any]:
    """Objectives of a model."""
    return {"latency": {"timeToFirstTokenMilliseconds": 500, **changes}}


def costs(**changes: Any) -> dict[str, Any]:
    """Objectives of a model with a cost objective; None leaves a field out."""
    cost = {"monthlyBudget": "400", "currency": "EUR", **changes}
    return {**latency(), "cost": {name: value for name, value in cost.items() if value is not None}}


def objective(**changes: Any) -> dict[str, Any]:
    """`spec.scaling` of a model whose replicas follow an objective; None leaves a field out."""
    scaling = {"mode": "Objective", "maxReplicas": 4, "objectives": latency(), **changes}
    return {name: value for name, value in scaling.items() if value is not None}


def profile(**spec: Any) -> dict[str, Any]:
    engines = [{"name": "LlamaCpp", "image": "registry.internal/engine:1"}]
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ComputeProfile",
        "metadata": {"name": "ok"},
        "spec": {"engines": engines, **spec},
    }


def boundary(name: str = "cluster", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ClusterBoundary",
        "metadata": {"name": name},
        "spec": spec,
    }


def _source(name: str, says: str, **source: Any) -> Case:
    return Case(name, model(source=source), says, says)


def on(engine: str, source: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A model of another engine."""
    return model(engine={"name": engine, **fields}, **({"source": source} if source else {}))


def signed(verification: dict[str, Any]) -> dict[str, Any]:
    return model(source={"uri": "pvc://m/x", "verification": verification})


_EXISTS = {"key": "k", "operator": "Exists", "value": "v"}
_ADAPTER = {"name": "hr", "source": {"uri": f"oci://registry.internal/slm/adapters@{DIGEST}", "path": "a/hr.gguf"}}


def adapted(source: dict[str, Any] | None = None, *, memory: str = "2Gi", **spec: Any) -> dict[str, Any]:
    """A model with one adapter; `source` overrides entries of where it comes from."""
    adapter = {**_ADAPTER, "source": {**_ADAPTER["source"], **(source or {})}}  # type: ignore[dict-item]
    compute = {"resources": {"requests": {"memory": memory}}} if memory else {}
    return model(**{"adapters": [adapter], "compute": compute, **spec})


_MATRIX_TEXT = {"name": "texts", "key": "built"}


def with_matrix(*accept: str, **more: Any) -> dict[str, Any]:
    """A ladder with an importance matrix."""
    kinds = list(accept or ("Q4_K_M",))
    return {"method": "GGUF", "accept": kinds, "importanceMatrix": {"textConfigMapRef": dict(_MATRIX_TEXT)}, **more}


_GPU = {"resourceName": "nvidia.com/gpu", "memoryBytes": 24 * 2**30}
_VLLM = [{"name": "VLLM", "image": "registry.internal/vllm:1"}]
_RENT = {"hourly": "0.45", "currency": "EUR"}
_BOUGHT = {"purchase": "12000", "amortizationYears": 4, "maintenancePercentPerYear": 5, "currency": "EUR"}
_POWER = {"watts": 400, "pue": "1.4", "pricePerKilowattHour": "0.20"}


def _priced(**price: Any) -> dict[str, Any]:
    return profile(price={"currency": "EUR", **price})


BAD = (
    *BAD_ROUTES,
    Case("adapter-from-a-claim", adapted({"uri": "pvc://m/x"}), "adapters are taken from images", "adapters are taken"),
    Case("adapter-by-tag", adapted({"uri": "oci://registry.internal/a:v1"}), "adapters are taken",
         "adapters are taken"),
    *(
        Case(f"adapter-file-{name}", adapted({"path": path}), "must be the path of a *.gguf", "must be the path of a")
        for name, path in (("comma", "a,b.gguf"), ("colon", "a:1.gguf"), ("pickle", "adapter.bin"), ("up", "../a.gguf"),
                           ("absolute", "/a.gguf"), ("here", "./a.gguf"), ("twice", "a//b.gguf"))
    ),
    Case("adapter-name", adapted(adapters=[{**_ADAPTER, "name": "h:r"}]), "adapters", "adapters"),
    Case("adapter-and-a-ladder", adapted(memory="", quantization={"method": "GGUF", "accept": ["Q8_0"]}),
         "does not count adapters", "does not count adapters"),
    Case("adapter-on-vllm", adapted(engine={"name": "VLLM"}), "other engines do not load them",
         "other engines do not load them"),
    Case("vllm-from-a-download", on("VLLM", {"uri": "https://h/m.gguf"}), "must begin with oci://, pvc:// or hf://",
         "must begin with oci://, pvc:// or hf://"),
    Case("tgi-with-a-sum", on("TGI", {"uri": "pvc://m/x", "sha256": HEX}), "they serve a folder; oci:// pins",
         "they serve a folder; oci:// pins"),
    Case("vllm-with-gguf", on("VLLM", {"uri": "pvc://m", "path": "a.gguf"}), "must name a folder",
         "must name a folder"),
    Case("vllm-with-code", on("VLLM", args=["--trust-remote-code"]), "of VLLM must be among", "of VLLM must be among"),
    Case("vllm-with-a-key", on("VLLM", args=["--api_key=x"]), "of VLLM must be among", "of VLLM must be among"),
    Case("tgi-with-a-port", on("TGI", args=["-p", "1"]), "of TGI must be among", "of TGI must be among"),
    Case("tgi-by-environment", on("TGI", env=[{"name": "TRUST_REMOTE_CODE", "value": "1"}]), "must begin with CUDA_",
         "must begin with CUDA_"),
    Case("vllm-without-devices", profile(engines=_VLLM), "`spec.accelerator` must be set", "`spec.accelerator` must"),
    Case("devices-without-memory", profile(accelerator={"resourceName": "nvidia.com/gpu"}), "memoryBytes",
         "memoryBytes"),
    Case("devices-of-kubernetes", profile(accelerator={**_GPU, "resourceName": "cpu"}), "resourceName", "resourceName"),
    Case("price-of-nothing", _priced(), "`spec.price` must have either", "`spec.price` must have either"),
    Case("two-prices", _priced(hourly="1", purchase="9", amortizationYears=4), "`spec.price` must have either",
         "`spec.price` must have either"),
    Case("price-without-years", _priced(purchase="9000"), "amortizationYears` must be", "amortizationYears` must be"),
    Case("rent-with-years", _priced(hourly="1", amortizationYears=4), "amortizationYears` must be",
         "amortizationYears` must be"),
    Case("rent-with-maintenance", _priced(hourly="1", maintenancePercentPerYear=5), "maintenancePercentPerYear` must",
         "maintenancePercentPerYear` must"),
    Case("free-rent", _priced(hourly="0.00"), "`spec.price.hourly` must be above 0", "`spec.price.hourly` must be"),
    Case("free-purchase", _priced(purchase="0", amortizationYears=4), "`spec.price.purchase` must be above 0",
         "`spec.price.purchase` must be"),
    Case("price-in-words", _priced(hourly="1,50"), "spec.price.hourly", "spec.price.hourly"),
    Case("price-without-currency", profile(price={"hourly": "1"}), "currency", "currency"),
    Case("power-of-rent", profile(price=_RENT, power=_POWER), "`spec.power` must be unset", "`spec.power` must be"),
    Case("power-alone", profile(power=_POWER), "`spec.power` must be unset", "`spec.power` must be unset"),
    Case("pue-below-one", profile(price=_BOUGHT, power={**_POWER, "pue": "0.9"}), "spec.power.pue", "spec.power.pue"),
    Case("no-device", profile(accelerator={**_GPU, "count": 0}), "greater than or equal to 1", "count"),
    Case("name-with-a-dot", model("qwen2.5"), "use - instead: qwen2-5", "use - instead: qwen2-5"),
    Case("name-with-dots", model("qwen2.5-0.5b"), "use - instead: qwen2-5-0-5b", "use - instead: qwen2-5-0-5b"),
    Case("name-of-46", model("a" * 46), "at most 45 characters", "at most 45 characters"),
    Case("name-of-63", model("a" * 63), "at most 45 characters", "at most 45 characters"),
    Case("name-begins-with-a-digit", model("3b"), "begins with a letter", "begins with a letter"),
    *(
        Case(f"name-{name}", model(name), "choose another name", "choose another name")
        for name in ("smallmodel-gateway", "smallmodel-gateway-pods")
    ),
    Case("unknown-engine", model(engine={"name": "Foo"}), "supported values: \"LlamaCpp\"", "engine.name"),
    Case("negative-replicas", model(replicas=-1), "greater than or equal to 0", "replicas"),
    Case("too-many-replicas", model(replicas=101), "less than or equal to 100", "replicas"),
    Case("text-for-a-number", model(replicas="two"), "integer", "replicas"),
    _source("tag-without-digest", "must name a digest", uri="oci://registry.internal/weights:v1"),
    _source("short-digest", "must name a digest", uri="oci://registry.internal/weights@sha256:abc"),
    _source("capitals", "must name an image", uri=f"oci://registry.internal/Team/Weights@{DIGEST}"),
    _source("no-registry", "must name an image", uri=f"oci:///weights@{DIGEST}"),
    _source("line-break-after-the-digest", "must name a digest", uri=f"oci://registry.internal/weights@{DIGEST}\n"),
    _source("https-without-a-file", "must be https://HOST/FILE", uri="https://files.internal", sha256=HEX),
    _source("https-without-sha256", "`spec.source.sha256` is required", uri="https://files.internal/model.gguf"),
    _source("https-with-a-password", "without a user name", uri="https://me:secret@files.internal/m.gguf", sha256=HEX),
    _source("https-with-a-path", "must be empty with https", uri="https://files.internal/m.gguf", sha256=HEX, path="x"),
    _source("oci-with-sha256", "already pins it", uri=f"oci://registry.internal/weights@{DIGEST}", sha256=HEX),
    _source("plain-http", "must begin with", uri="http://files.internal/m.gguf", sha256=HEX),
    _source("another-scheme", "must begin with", uri="gs://models/model.gguf"),
    _source("another-cloud", "must begin with", uri="gs://bucket/model.gguf"),
    _source("hub-with-a-branch", "must be hf://ORGANISATION", uri="hf://org/bot@main/bot.gguf"),
    _source("hub-without-a-commit", "git ls-remote", uri="hf://org/bot"),
    _source("hub-with-half-a-commit", "40 hex digits", uri="hf://org/bot@0123456789"),
    _source("hub-with-a-branch-says-how", "allowMutable: true`: what it holds then is frozen", uri="hf://org/bot@main"),
    _source("moving-hub-of-nothing", "must be hf://ORGANISATION", uri="hf://org/bot@", allowMutable=True),
    _source("moving-hub-out-of-the-repository", "must be hf://", uri="hf://org/bot@main/../x.gguf", allowMutable=True),
    _source("moving-hub-file-twice", "must be empty where", uri="hf://org/bot@v1/a.gguf", path="a", allowMutable=True),
    _source("https-folder", "no folder, no archive", uri="https://files.internal/bot/", sha256=HEX),
    _source("https-archive", "no folder, no archive", uri="https://files.internal/b.tar.gz?x=1", sha256=HEX),
    _source("https-safetensors", "must name one GGUF file", uri="https://files.internal/m.safetensors", sha256=HEX),
    _source("bucket-folder", "A folder comes from hf://", uri="s3://models/bot/", sha256=HEX),
    _source("bucket-archive", "must name one GGUF file", uri="s3://models/bot.zip", sha256=HEX),
    _source("moving-not-asked-for", "required with https://", uri="https://files.internal/m.gguf", allowMutable=False),
    _source("neither-tag-nor-digest", "must name a digest", uri="oci://registry.internal:5000/weights",
            allowMutable=True),
    _source("moving-tag-of-capitals", "must name an image", uri="oci://registry.internal/Weights:v1",
            allowMutable=True),
    _source("mutable-claim", "must be unset with pvc://", uri="pvc://models/m.gguf", allowMutable=True),
    _source("resolved-again-for-nothing", "unless `spec.source.allowMutable` is true", uri="pvc://models/m.gguf",
            resolveGeneration=2),
    Case("resolved-no-time", model(source={"uri": "hf://org/bot@main", "allowMutable": True, "resolveGeneration": 0}),
         "greater than or equal to 1", "resolveGeneration"),
    _source("hub-out-of-the-repository", "must be hf://", uri=f"hf://org/bot@{COMMIT}/../x.gguf"),
    _source("hub-file-twice", "must be empty where", uri=f"hf://org/bot@{COMMIT}/a.gguf", path="a.gguf"),
    _source("bucket-without-a-key", "must be s3://BUCKET/KEY", uri="s3://models", sha256=HEX),
    _source("bucket-without-a-sum", "required with s3://", uri="s3://models/m.gguf"),
    _source("bucket-with-a-path", "must be empty with s3://", uri="s3://models/m.gguf", sha256=HEX, path="x"),
    _source("credentials-of-a-claim", "must be unset with oci://", uri="pvc://m", credentialsSecretRef={"name": "x"}),
    _source("claim-with-dots", "stays inside the claim", uri="pvc://models/../../etc"),
    _source("claim-without-a-name", "must be pvc://CLAIM/PATH", uri="pvc:///model.gguf"),
    _source("path-out-of-the-volume", "must be relative", uri="pvc://models/x", path="../secret"),
    _source("absolute-path", "must be relative", uri="pvc://models/x", path="/etc/passwd"),
    _source("signed-download", "must be unset unless the source is oci:// or pvc://", uri="https://files.internal/m.gguf",
            sha256=HEX, verification={"publicKeySecretRef": {"name": "k", "key": "k.pub"}}),
    Case("key-without-an-entry", signed({"publicKeySecretRef": {"name": "k"}}), "publicKeySecretRef.key", "key"),
    Case("key-that-leads-elsewhere", signed({"publicKeySecretRef": {"name": "k", "key": "../k"}}),
         "publicKeySecretRef.key", "key"),
    Case("verification-of-nothing", signed({}), "publicKeySecretRef", "publicKeySecretRef"),
    Case("no-check", model(checks={"chatTemplate": "Off"}), 'supported values: "Enforce", "Warn"', "chatTemplate"),
    Case("allowed-by-half-a-sum", model(checks={"allowedChatTemplates": ["abc"]}), "allowedChatTemplates",
         "allowedChatTemplates"),
    Case("allowed-by-a-pattern", model(checks={"allowedArchitectures": ["*"]}), "allowedArchitectures",
         "allowedArchitectures"),
    *(
        Case(f"quantization-{name}", model(quantization=wish), says, says)
        for name, wish, says in (
            ("of-nothing", {"method": "GGUF"}, "must name at least one type"),
            ("of-none", {"method": "None", "accept": ["Q8_0"]}, "must be empty with method None"),
            ("twice", {"method": "GGUF", "accept": ["Q8_0", "Q8_0"]}, "must name each type once"),
            ("unknown", {"method": "GGUF", "accept": ["Q3_K_M"]}, "spec.quantization.accept"),
            ("by-another-method", {"method": "AWQ"}, "spec.quantization.method"),
            ("with-a-float", {"method": "GGUF", "accept": ["Q8_0"], "gate": {"maxMeanDivergence": "0,5"}},
             "maxMeanDivergence"),
            *(
                (f"with-{field}-{limit}", {"method": "GGUF", "accept": ["Q8_0"], "gate": {field: limit}},
                 f"`spec.quantization.gate.{field}` must be {must}")
                for field, limit, must in (
                    ("minSameTopPercent", "190", "at most 100"), ("minSameTopPercent", "100.1", "at most 100"),
                    ("maxMeanDivergence", "0", "above 0"), ("maxTailDivergence", "0.000000", "above 0"),
                    ("maxPerplexityRatio", "0.99", "at least 1"),
                )
            ),
            ("on-no-text", {"method": "GGUF", "accept": ["Q8_0"], "gate": {"textConfigMapRef": {"name": "x"}}},
             "key"),
            ("without-a-method", {"accept": ["Q8_0"]}, "method"),
            ("with-a-matrix-of-the-gates-text", with_matrix(gate={"textConfigMapRef": _MATRIX_TEXT}),
             "looks better than it is"),
            ("with-a-matrix-for-none", with_matrix("F16", "BF16", "Q8_0"), "makes a difference to Q6_K, Q5_K_M"),
            ("with-a-matrix-as-it-is", with_matrix() | {"method": "None", "accept": []}, "`accept` names none of them"),
            ("with-a-matrix-of-nothing", with_matrix() | {"importanceMatrix": {}}, "textConfigMapRef"),
            ("with-a-matrix-without-an-entry",
             with_matrix() | {"importanceMatrix": {"textConfigMapRef": {"name": "t"}}}, "key"),
        )
    ),
    Case("quantization-of-safetensors",
         model(engine={"name": "VLLM"}, quantization={"method": "GGUF", "accept": ["Q8_0"]}),
         "must be None, or left out, with VLLM", "must be None, or left out, with VLLM"),
    Case("golden-of-nothing", model(checks={"golden": {}}), "spec.checks.golden.configMapRef", "configMapRef"),
    Case("sha256-in-capitals", model(source={"uri": "pvc://m/x", "sha256": HEX.upper()}), "sha256", "sha256"),
    Case("port", model(engine={"args": ["--port", "1"]}), "spec.engine.contextSize", "spec.engine.args"),
    Case("port-with-equals", model(engine={"args": ["--port=1"]}), "spec.engine.contextSize", "spec.engine.args"),
    Case("short-context", model(engine={"args": ["-c", "1"]}), "spec.engine.contextSize", "spec.engine.args"),
    Case("underscores", model(engine={"args": ["--ctx_size", "1"]}), "spec.engine.contextSize", "must not set"),
    Case("key-file", model(engine={"args": ["--api-key-file", "/x"]}), "must not set", "must not set"),
    Case("tools", model(engine={"args": ["--tools", "all"]}), "must not open the server", "must not open"),
    *(
        Case(f"argument{a}", model(engine={"args": [a, "x"]}), "must not open the server", "must not open")
        for a in ("-ag", "--api_prefix", "--mcp-servers-json", "--tools-runtime", "--spec-draft-hf",
                  "--spec-draft-model", "--mmproj", "--vision-gemma-4b-default", "--models-dir",
                  "--webui", "--lora=x", "--hf_repo")
    ),
    Case("hub-argument", model(engine={"args": ["-hf", "org/x"]}), "must not open the server", "must not open"),
    Case("prompt-log", model(engine={"args": ["--log-file", "/tmp/x"]}), "must not open the server", "must not open"),
    Case("vertex-variable", model(engine={"env": [{"name": "AIP_HTTP_PORT"}]}), "must not begin", "AIP_"),
    Case("engine-variable", model(engine={"env": [{"name": "LLAMA_PORT"}]}), "must not begin", "LLAMA_"),
    Case("context-too-small", model(engine={"contextSize": 1}), "contextSize", "contextSize"),
    Case("no-source", {**model(), "spec": {}}, "spec.source: Required", "'source' is a required"),
    *(
        Case(f"not-a-quantity-{amount}", model(compute={"resources": {part: {"memory": amount}}}), says, says)
        for amount, part in (("lots", "requests"), ("4GB", "limits"), ("4 Gi", "limits"))
        for says in (f"`spec.compute.resources.{part}.memory` must be a number of bytes with a unit like 4Gi",)
    ),
    *(
        Case(f"not-a-number-of-cores-{part}", model(compute={"resources": {part: {"cpu": "two", "memory": "1Gi"}}}),
             says, says)
        for part in ("requests", "limits")
        for says in (f"`spec.compute.resources.{part}.cpu` must be a number of cores like 2 or 0.5",)
    ),
    Case("profile-not-a-number-of-cores", profile(perReplica={"cpu": "two"}),
         "`spec.perReplica.cpu` must be a number of cores", "`spec.perReplica.cpu` must be a number of cores"),
    Case("profile-not-a-quantity", profile(perReplica={"memoryLimit": "4GB"}),
         "`spec.perReplica.memoryLimit` must be a number of bytes", "`spec.perReplica.memoryLimit` must be a number"),
    Case(
        "memory-request-over-limit",
        model(compute={"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}),
        "less than or equal to `limits.memory`", "less than or equal to `limits.memory`",
    ),
    Case(
        "cpu-request-over-limit",
        model(compute={"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "500m"}}}),
        "less than or equal to `limits.cpu`", "less than or equal to `limits.cpu`",
    ),
    Case("toleration", model(compute={"tolerations": [_EXISTS]}), "must be empty with operator Exists", "Exists"),
    Case("profile-toleration", profile(tolerations=[_EXISTS]), "must be empty with operator Exists", "Exists"),
    *(
        Case(f"{made.__name__}-{name}", made(**({"compute": spec} if made is model else spec)), says, says)
        for made in (model, profile)
        for name, says, spec in (
            ("toleration-without-a-key", "`key` of a toleration must be given", {"tolerations": [{"value": "v"}]}),
            ("toleration-seconds", "unless `effect` is NoExecute",
             {"tolerations": [{"key": "k", "effect": "NoSchedule", "tolerationSeconds": 1}]}),
            ("label-key", "must have label keys", {"nodeSelector": {"no spaces": "x"}}),
        )
    ),
    Case("profile-without-engines", profile(engines=[]), "engines", "engines"),
    Case("second-boundary", boundary("mine"), "there is one ClusterBoundary", "there is one ClusterBoundary"),
    Case("boundary-that-opens", boundary(external="WhenClean"), "routes say which", "routes say which"),
    Case("namespace-that-opens", boundary(namespaces=[{"name": "a", "external": "Allowed"}]),
         "`external` of a namespace must be Denied", "`external` of a namespace must be Denied"),
    Case("half-enforced", boundary(enforcement="Maybe"), 'supported values: "Required", "Reported"', "enforcement"),
    Case("half-stopped", boundary(inference="Paused"), 'supported values: "Allowed", "Stopped"', "inference"),
    Case("namespace-without-a-name", boundary(namespaces=[{"inference": "Stopped"}]), "Required value", "name"),
    Case("reason-of-two-lines", boundary(reason="a\nb"), "spec.reason", "reason"),
    Case("reason-of-a-novel", boundary(reason="a" * 513), "may not be more than 512", "reason"),
    Case("later-boundary", boundary(detectors=[]), 'unknown field "spec.detectors"', "detectors"),
    Case("mode-of-nobody", model(scaling={"mode": "Hpa"}), 'values: "Manual", "Objective", "External"', "mode"),
    *(
        Case(f"external-with-{field}", model(scaling={"mode": "External", field: value}),
             "must be unset in mode External", "must be unset in mode External")
        for field, value in (("minReplicas", 0), ("maxReplicas", 3), ("idleSeconds", 60), ("objectives", latency()))
    ),
    *(
        Case(f"objective-{name}", model(**{"scaling": objective(**scaling), **more}), says, says)
        for name, says, scaling, more in (
            ("without-limit", "must be set in mode Objective", {"maxReplicas": None}, {}),
            ("without-objective", "must be set in mode Objective", {"objectives": None}, {}),
            ("in-manual", "must be unset in mode Manual", {"mode": "Manual"}, {}),
            ("below-its-floor", "must not be less than `minReplicas`", {"minReplicas": 5}, {}),
            ("beside-replicas", "must be 1 in mode Objective", {}, {"replicas": 2}),
            ("beside-off", "must be 1 in mode Objective", {}, {"replicas": 0}),
            ("that-sleeps-by-no-floor", "must be unset without `min", {"idleSeconds": 60, "minReplicas": 1}, {}),
        )
    ),
    *(
        Case(f"objective-{field}-{number}", model(scaling=objective(objectives=asked)), says, field)
        for number, (field, says, asked) in enumerate((
            ("percentile", "less than or equal to 99", latency(percentile=100)),
            ("timeToFirstTokenMilliseconds", "or equal to 1", latency(timeToFirstTokenMilliseconds=0)),
            ("latency", "it says how many percent, and they of what", {"latency": {"percentile": 95}}),
            ("interTokenMilliseconds", "or equal to 1", latency(interTokenMilliseconds=0)),
            ("interTokenMilliseconds", "or equal to 60000", latency(interTokenMilliseconds=60_001)),
            ("endToEndMilliseconds", "or equal to 3600000", latency(endToEndMilliseconds=3_600_001)),
            ("endToEndMilliseconds", "an answer ends after it begins", latency(endToEndMilliseconds=499)),
            ("cost", "Required value", {**latency(), "cost": {"monthlyBudget": "400"}}),
            ("cost", "must have `maxPerMillionTokens` or `monthlyBudget`", costs(monthlyBudget=None)),
            ("monthlyBudget", "must be above 0", costs(monthlyBudget="0.00")),
            ("maxPerMillionTokens", "must be above 0", costs(maxPerMillionTokens="0")),
            ("onExceeded", "must be with `prefer: Cost`", costs(onExceeded="Cap")),
            ("onExceeded", "must have a `monthlyBudget`",
             costs(onExceeded="Sleep", monthlyBudget=None, maxPerMillionTokens="1")),
            ("prefer", "must be with `cost.onExceeded` Cap, Sleep or Refuse", {**costs(), "prefer": "Cost"}),
            ("prefer", "must be with `cost.onExceeded` Cap, Sleep or Refuse", {**latency(), "prefer": "Cost"}),
        ))
    ),
    Case("expanded-argument", model(engine={"args": ["$(KEY)"]}), "must not contain `$(`", "must not contain `$(`"),
    Case("escaped-argument", model(engine={"args": ["--x=$$(KEY)"]}), "must not contain `$(`", "must not contain `$(`"),
    Case("expanded-value", model(engine={"env": [{"name": "A", "value": "$(B)"}]}), "in a value", "in a value"),
    # Fields of later releases are refused, not ignored (strict field validation is kubectl's default).
    Case("later-field", model(flywheel={}), 'unknown field "spec.flywheel"', "flywheel"),
    Case("floor-in-manual", model(scaling={"minReplicas": 2}), "must be 0 or unset in mode Manual", "minReplicas"),
    Case("idle-that-never-sleeps", model(scaling={"idleSeconds": 60}), "must be unset without `min", "idleSeconds"),
    Case("priority-of-a-fixed-number", model(scaling={"priority": "Critical"}), "must be unset where the number of",
         "scaling.priority"),
    Case("priority-with-an-empty-floor", model(scaling={"priority": "Batch", "minReplicas": None}),
         "must be unset where the number of", "scaling.priority"),
    Case("priority-by-number", model(scaling={"minReplicas": 0, "priority": "High"}),
         'supported values: "Critical", "Standard", "Batch"', "scaling.priority"),
    Case("idle-of-zero", model(scaling={"minReplicas": 0, "idleSeconds": 0}), "or equal to 1", "idleSeconds"),
    Case("queue-too-long", model(scaling={"coldStart": {"maxQueuedRequests": 5000}}), "less than or equal to 4096",
         "maxQueuedRequests"),
    Case("body-over-32Mi", model(access={"limits": {"maxBodyBytes": 33554433}}), "less than or equal to 33554432",
         "maxBodyBytes"),
    Case("key-without-secret", model(access={"apiKeys": [{"name": "crm"}]}), "secretRef", "apiKeys"),
    Case("hmac-in-other-words", model(audit={"requestHMAC": "On"}), 'supported values: "Enabled", "Disabled"',
         "requestHMAC"),
    Case("hmac-in-small-letters", model(audit={"requestHmac": "Enabled"}), "unknown field", "requestHmac"),
    Case("request-key-zero", model(audit={"keyGeneration": 0}), "greater than or equal to 1", "keyGeneration"),
    Case("later-audit", model(audit={"content": "All"}), 'unknown field "spec.audit.content"', "content"),
    Case("generation-zero", model(access={"clientKey": {"generation": 0}}), "greater than or equal to 1", "generation"),
)  # fmt: skip

GOOD = (
    *GOOD_ROUTES,
    Case("adapter", adapted()),
    Case("adapter-without-memory", adapted(memory="")),
    Case("adapter-and-a-ladder-with-memory", adapted(quantization={"method": "GGUF", "accept": ["Q8_0"]})),
    Case("vllm", on("VLLM", args=["--dtype", "half", "--enable-prefix-caching"], env=[{"name": "OMP_NUM_THREADS"}])),
    Case("tgi-folder", on("TGI", {"uri": "pvc://models", "path": "bot"}, args=["--kv-cache-dtype=fp8_e5m2"])),
    Case("profile-rented", profile(price=_RENT)),
    Case("profile-bought", profile(price=_BOUGHT, power=_POWER)),
    Case("profile-bought-alone", profile(price={"purchase": "9000.50", "amortizationYears": 5, "currency": "USD"})),
    Case("profile-with-devices", profile(engines=_VLLM, accelerator={**_GPU, "count": 2}, runtimeClassName="nvidia")),
    Case("smallest", model()),
    Case("within-a-budget", model(scaling=objective(objectives={**costs(onExceeded="Cap"), "prefer": "Cost"}))),
    Case("cheap-tokens", model(scaling=objective(objectives=costs(monthlyBudget=None, maxPerMillionTokens="0.80")))),
    Case("scaled-by-others", model(scaling={"mode": "External", "coldStart": {"maxWaitSeconds": 60}})),
    Case("at-zero-by-others", model(scaling={"mode": "External"}, replicas=0)),
    Case("longest-name", model("a" * 45)),
    Case("name-like-the-gateways", model("smallmodel-gateway-2")),
    Case("moving-tag", model(source={"uri": "oci://registry.internal:5000/slm/w:v1", "allowMutable": True})),
    Case("mutable-image", model(source={"uri": f"oci://registry.internal/weights@{DIGEST}", "allowMutable": True})),
    Case("tag-and-digest", model(source={"uri": f"oci://registry.internal:5000/slm/w:v1@{DIGEST}"})),
    Case("claim", model(source={"uri": "pvc://models/a/b.gguf"})),
    Case("claim-root", model(source={"uri": "pvc://models", "path": "b.gguf", "sha256": HEX})),
    Case("https", model(source={"uri": "https://files.internal:8443/a/b.gguf?x=1", "sha256": HEX})),
    Case("image-without-a-registry", model(source={"uri": f"oci://weights:v1@{DIGEST}"})),
    Case("registry-by-ipv6", model(source={"uri": f"oci://[fd00::1]:5000/slm/w@{DIGEST}"})),
    Case("hub", model(source={"uri": f"hf://org/bot-GGUF@{COMMIT}", "credentialsSecretRef": {"name": "hub"}})),
    Case("hub-file", model(source={"uri": f"hf://org/bot@{COMMIT}/a/b c.gguf", "sha256": HEX})),
    Case(
        "bucket",
        model(source={"uri": "s3://models/q4/a b.gguf", "sha256": HEX, "credentialsSecretRef": {"name": "s3"}}),
    ),
    Case("moving-branch", model(source={"uri": "hf://org/bot@main/a/b.gguf", "allowMutable": True})),
    Case("moving-repository", model(source={"uri": "hf://org/bot@v1.0", "path": "b.gguf", "allowMutable": True})),
    Case("moving-address", model(source={"uri": "https://files.internal/m.gguf", "allowMutable": True})),
    Case("moving-key", model(source={"uri": "s3://models/m.gguf", "allowMutable": True, "resolveGeneration": 7})),
    Case("pinned-and-allowed", model(source={"uri": f"hf://org/bot@{COMMIT}", "allowMutable": True})),
    Case(
        "hub-folder",
        model(source={"uri": f"hf://org/bot@{COMMIT}/v2"}, quantization={"method": "GGUF", "accept": ["Q8_0"]}),
    ),
    Case("vllm-from-a-hub", on("VLLM", {"uri": f"hf://org/bot@{COMMIT}", "path": "fp8"})),
    Case("https-with-a-query", model(source={"uri": "https://files.internal/get?f=a.zip/", "sha256": HEX})),
    Case("hub-path", model(source={"uri": f"hf://org/bot@{COMMIT}", "path": "b.gguf"})),
    Case("file-with-spaces", model(source={"uri": "pvc://models/my models/b.gguf"})),
    Case(
        "signed-claim",
        signed({"publicKeySecretRef": {"name": "k", "key": "k.pub"}}),
    ),
    Case(
        "checks",
        model(checks={"chatTemplate": "Warn", "allowedChatTemplates": [HEX], "allowedArchitectures": ["x_1-a"]}),
    ),
    Case("ladder", model(quantization={"method": "GGUF", "accept": ["F16", "Q8_0", "Q4_K_M"]})),
    Case("as-it-is", model(quantization={"method": "None"})),
    Case(
        "ladder-with-every-limit",
        model(
            quantization={
                "method": "GGUF",
                "accept": ["Q8_0"],
                "gate": {
                    "maxMeanDivergence": "0.000001",
                    "maxTailDivergence": "9999",
                    "minSameTopPercent": "100",
                    "maxPerplexityRatio": "1",
                },
            }
        ),
    ),
    Case(
        "quantities",
        model(
            compute={
                "resources": {
                    "requests": {"cpu": "0.5", "memory": "1.5Gi"},
                    "limits": {"cpu": "1500m", "memory": "2000M"},
                }
            }
        ),
    ),
    Case("ladder-with-a-matrix", model(quantization=with_matrix("Q8_0", "Q4_K_M"))),
    Case(
        "matrix-of-another-entry",
        model(quantization=with_matrix(gate={"textConfigMapRef": {"name": "texts", "key": "measured"}})),
    ),
    Case(
        "matrix-of-another-config-map",
        model(quantization=with_matrix(gate={"textConfigMapRef": {"name": "others", "key": "built"}})),
    ),
    Case("off", model(replicas=0)),
    Case("objective", model(scaling=objective(objectives=latency(percentile=99), minReplicas=2))),
    *(
        Case(f"objective-of-{name}", model(scaling=objective(objectives={"latency": bounds})))
        for name, bounds in (
            ("tokens", {"interTokenMilliseconds": 60}),
            ("whole-answers", {"percentile": 90, "endToEndMilliseconds": 4000}),
            ("all", {"timeToFirstTokenMilliseconds": 500, "interTokenMilliseconds": 60, "endToEndMilliseconds": 500}),
        )
    ),
    Case("objective-that-sleeps", model(scaling=objective(minReplicas=0, idleSeconds=60))),
    Case("objective-first", model(scaling=objective(priority="Critical"))),
    Case("sleeps-first", model(scaling={"minReplicas": 0, "priority": "Batch"})),
    Case("objective-switched-off", model(scaling=objective(), suspend=True)),
    Case("tolerates-all", model(compute={"tolerations": [{"operator": "Exists"}]})),
    Case("evicted-late", model(compute={"tolerations": [{"key": "k", "effect": "NoExecute", "tolerationSeconds": 1}]})),
    Case(
        "label-with-a-prefix", model(compute={"nodeSelector": {"node.kubernetes.io/instance-type": "x", "disk": "ssd"}})
    ),
    Case(
        "harmless-argument",
        model(engine={"args": ["--no-mmap", "--flash-attn", "on", "--spec-default", "--log-colors", "off"]}),
    ),
    Case("equal-amounts", model(compute={"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1000m"}}})),
    Case("profile", profile(perReplica={"cpu": "500m", "memoryLimit": "2Gi"})),
    Case("profile-with-its-bandwidth", profile(memoryBandwidthBytesPerSecond=35_000_000_000)),
    Case("boundary", boundary()),
    Case("boundary-enforced", boundary(enforcement="Required", namespaces=[{"name": "a", "enforcement": "Reported"}])),
    Case("boundary-stopped", boundary(inference="Stopped", external="Denied", reason="Störung, Ticket 4711")),
    Case(
        "boundary-of-a-namespace",
        boundary(
            namespaces=[{"name": "a", "inference": "Stopped", "external": "Denied"}, {"name": "b", "reason": "open"}]
        ),
    ),
)
