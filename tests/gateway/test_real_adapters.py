"""Adapters on the real llama-server behind the real Envoy: nobody inherits another's."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from hack.true_size.server import serving
from hack.true_size.shapes import SHAPES
from hack.true_size.write import write
from tests.gateway.running import Gateway
from tests.gateway.states import SUPPORT, model, state_of

pytestmark = pytest.mark.long
SHAPE = replace(
    SHAPES["8b"], layers=2, embedding=256, feed_forward=512, heads=4, heads_kv=2, head=64, vocabulary=1000, merges=90
)
RANK = 8
ADAPTERS = {"hr": 0, "legal": 2}


def adapter(file: Path, seed: int) -> None:
    """A LoRA adapter of random numbers, large enough to change every answer."""
    chance = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(file, SHAPE.architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    for layer in range(SHAPE.layers):
        for name, (rows, columns) in {
            f"blk.{layer}.ffn_down.weight": (SHAPE.embedding, SHAPE.feed_forward),
            f"blk.{layer}.attn_output.weight": (SHAPE.embedding, SHAPE.heads * SHAPE.head),
        }.items():
            for part, shape in (("lora_a", (RANK, columns)), ("lora_b", (rows, RANK))):
                writer.add_tensor(f"{name}.{part}", chance.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """support/bot with hr (0) and legal (2); number 1 is free, and held by a copy of hr."""
    folder = tmp_path_factory.mktemp("g")
    write(SHAPE, "F16", folder / "base.gguf")
    for name, seed in (("hr", 1), ("legal", 2)):
        adapter(folder / f"{name}.gguf", seed)
    files = ",".join(f"/mnt/{name}.gguf:0" for name in ("hr", "hr", "legal"))
    bot = model("support/bot", lora=True, adapters=tuple(sorted(ADAPTERS.items())))
    with serving(folder / "base.gguf", 512, 3, "--lora-scaled", files) as server:
        server.wait()
        with Gateway(folder / "e", state_of((bot,), {"support/bot": server.port})) as running:
            yield running


def said(door: Gateway, name: str, **more: object) -> str:
    body = {
        "model": name,
        "prompt": "Once",
        "max_tokens": 12,
        "temperature": 0,
        "seed": 1,
        "cache_prompt": False,
        **more,
    }
    answer = door.post("/v1/completions", body, SUPPORT)
    assert answer.status == 200, answer
    return str(answer.json["choices"][0]["text"])


def test_each_name_has_an_answer_of_its_own(door: Gateway) -> None:
    answers = {name: said(door, name) for name in ("bot", "bot:hr", "bot:legal")}
    assert len(set(answers.values())) == 3, answers
    assert answers == {name: said(door, name) for name in answers}, "and the same one again"


def test_the_base_is_what_it_is_without_adapters(door: Gateway, tmp_path: Path) -> None:
    write(SHAPE, "F16", tmp_path / "base.gguf")
    alone = model("support/bot")
    with serving(tmp_path / "base.gguf", 512, 3) as server:
        server.wait()
        with Gateway(tmp_path / "e", state_of((alone,), {"support/bot": server.port})) as plain:
            assert said(plain, "bot") == said(door, "bot")


@pytest.mark.parametrize("wish", [[], [{"id": 0, "scale": 1}], [{"id": 2, "scale": 9.5}], "all", None])
def test_what_a_caller_writes_itself_changes_nothing(door: Gateway, wish: object) -> None:
    for name in ("bot", "bot:legal"):
        assert said(door, name, lora=wish) == said(door, name)


def test_callers_at_the_same_time_get_their_own(door: Gateway) -> None:
    """More callers than slots: every slot changes hands between adapters."""
    names = ["bot", "bot:hr", "bot:legal"]
    alone = {name: said(door, name) for name in names}
    wanted = names * 8
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda name: said(door, name, cache_prompt=True), wanted))
    for name, text in zip(wanted, got, strict=True):
        # Computed beside others an answer may differ in its last digits; it is never that of another name.
        assert text not in {alone[other] for other in names if other != name}, name


def test_a_damaged_adapter_ends_the_engine_with_its_name(tmp_path: Path) -> None:
    write(SHAPE, "F16", tmp_path / "base.gguf")
    adapter(tmp_path / "bad.gguf", 3)
    data = (tmp_path / "bad.gguf").read_bytes()
    (tmp_path / "bad.gguf").write_bytes(data[: len(data) // 2])
    with (
        serving(tmp_path / "base.gguf", 512, 1, "--lora-scaled", "/mnt/bad.gguf:0") as server,
        pytest.raises(SystemExit) as ended,
    ):
        server.wait()
    assert "bad.gguf" in str(ended.value)
