"""hypothesis strategies of legal models and of arbitrary worlds."""

from typing import Any

from hypothesis import strategies as st

from smallmodel_operator.api.names import MAX_MODEL_NAME
from smallmodel_operator.core.facts import WeightsFacts

NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"

names = st.from_regex(rf"[a-z]([-a-z0-9]{{0,{MAX_MODEL_NAME - 2}}}[a-z0-9])?", fullmatch=True)
"""Every name the API server lets a SmallModel have."""

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
quantities = st.one_of(
    st.integers(1, 64).map(str), st.integers(1, 9999).map("{}m".format), st.integers(1, 512).map("{}Gi".format)
)
label_values = st.from_regex(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,20})?[A-Za-z0-9])?", fullmatch=True)
label_keys = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8})?/[a-z][-a-z0-9]{0,10}[a-z]", fullmatch=True)
paths = st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True), min_size=1, max_size=4).map(
    lambda parts: "/".join(parts) + ".gguf"
)

sources = st.one_of(
    st.builds(lambda d, p: {"uri": f"oci://registry.test/team/model@sha256:{d}", "path": p}, digests, paths),
    st.builds(lambda c, p: {"uri": f"pvc://{c}/{p}"}, names, paths),
    st.builds(lambda d: {"uri": "https://weights.test/m.gguf", "sha256": d}, digests),
)

tolerations = st.lists(
    st.fixed_dictionaries(
        {"operator": st.just("Exists")},
        optional={"key": label_keys, "effect": st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"])},
    ),
    max_size=4,
)

computes = st.fixed_dictionaries(
    {},
    optional={
        "resources": st.fixed_dictionaries(
            {},
            optional={
                "requests": st.fixed_dictionaries({}, optional={"cpu": quantities, "memory": quantities}),
                "limits": st.fixed_dictionaries({}, optional={"cpu": quantities}),
            },
        ),
        "nodeSelector": st.dictionaries(label_keys, label_values, max_size=3),
        "tolerations": tolerations,
    },
)

engines = st.fixed_dictionaries(
    {},
    optional={
        "contextSize": st.integers(128, 131072),
        "parallelSlots": st.integers(1, 64),
        "args": st.lists(st.sampled_from(["--jinja", "--temp", "0", "--no-warmup"]), max_size=4),
        "env": st.lists(
            st.fixed_dictionaries(
                {"name": st.from_regex(r"[A-Z_][A-Z0-9_]{0,10}", fullmatch=True)},
                optional={"value": st.text(st.characters(codec="ascii", min_codepoint=32), max_size=12)},
            ),
            max_size=4,
            unique_by=lambda e: e["name"],
        ),
    },
)

specs = st.fixed_dictionaries(
    {"source": sources, "replicas": st.integers(0, 100)},
    optional={"engine": engines, "compute": computes, "suspend": st.booleans()},
)


@st.composite
def models(draw: st.DrawFn) -> dict[str, Any]:
    """A SmallModel the API server would take."""
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "SmallModel",
        "metadata": {
            "name": draw(names),
            "namespace": draw(st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)),
            "uid": "11111111-2222-3333-4444-555555555555",
            "generation": draw(st.integers(1, 9)),
            "resourceVersion": "1",
        },
        "spec": draw(specs),
    }


@st.composite
def weights(draw: st.DrawFn, artifact: str) -> WeightsFacts:
    """What an inspection may have found."""
    size = st.integers(1, 2**40)
    small = st.integers(1, 200_000)
    return WeightsFacts(
        artifact=artifact, file="m.gguf", file_bytes=draw(size), tensor_bytes=draw(size), parameters=draw(size),
        quantization="Q4_K", architecture="llama", context_length=draw(small), layers=draw(st.integers(1, 200)),
        embedding=draw(small), heads=draw(st.integers(1, 128)), heads_kv=draw(st.integers(1, 128)),
        key_length=draw(st.integers(1, 512)), value_length=draw(st.integers(1, 512)), vocabulary=draw(small),
        feed_forward=draw(small), checks=1,
    )  # fmt: skip


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=20,
)
