"""A hub's list says what it likes: what is fetched of it is what a model needs, and lies inside its folder."""

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from smallmodel_operator.weights import repository
from smallmodel_operator.weights.refusal import BadWeights

NAMES = st.sampled_from(
    ["config.json", "model.safetensors", "model-1.safetensors", "tokenizer.json", "model.safetensors.index.json",
     "pytorch_model.bin", "modeling.py", "a/model.safetensors", "a/config.json", "../x.safetensors", "x\n.safetensors",
     ".safetensors", "a/../config.json", "/etc/config.json", "chat_template.jinja", "model.gguf"]
) | st.text(max_size=12).map(lambda text: f"{text}.safetensors")  # fmt: skip
VALUES: Any = st.none() | st.integers(-1, 2**70) | st.sampled_from(["a" * 40, "a" * 64, "", "x"]) | st.floats()
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "size": VALUES, "oid": VALUES,
        "lfs": VALUES | st.fixed_dictionaries({}, optional={"oid": VALUES, "size": VALUES}),
    },
)  # fmt: skip
GOOD = st.integers(0, 2**20).map(lambda n: {"size": n, "oid": "a" * 40})


@settings(max_examples=300)
@given(
    st.dictionaries(NAMES, GOOD | ENTRIES, max_size=8),
    st.sampled_from(["", "a", ".."]),
    st.none() | st.lists(NAMES.filter(lambda n: "/" not in n and n.endswith(".safetensors")), min_size=1, max_size=3),
)
def test_nothing_but_what_is_needed_and_nothing_outside(
    entries: dict[str, Any], folder: str, index: list[str] | None
) -> None:
    with contextlib.suppress(BadWeights):
        found = repository.parts(entries, folder, index)
        names = [part.name for part in found]
        assert len(names) == len(set(names))
        assert "config.json" in names
        assert all("/" not in name and name.isprintable() and not name.startswith(".") for name in names)
        assert all(name in repository.WANTED or name.endswith(".safetensors") for name in names)
        assert all(part.size >= 0 and bool(part.sha256) != bool(part.blob) for part in found)
        if index is not None:
            assert {name for name in names if name.endswith(".safetensors")} == set(index)
