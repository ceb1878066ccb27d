"""What the engine's benchmark makes of its figures."""

from typing import Any

from hack.bench.engine.__main__ import MODELS, report
from hack.bench.engine.roofline import bytes_a_token
from hack.true_size.shapes import FILE_TYPE, SHAPES
from tests.unit.core.test_remember import FACTS


def test_tables_say_yes_no_and_what_was_not_tried() -> None:
    speeds = {"alone_tokens_per_second": 10.0, "gateway_tokens_per_second": 9.9, "share": 0.99}
    speeds |= {"alone_computing": 0.98, "gateway_computing": 0.97}
    roof = {"read_tokens_per_second": 90.0, "write_tokens_per_second": 9.0, "roofline_tokens_per_second": 12.0}
    size = {"model": "3b:Q4_K_M", "cores": 2, "prompt": 16}
    found: dict[str, list[dict[str, Any]]] = {
        "rows": [{"model": "3b:Q4_K_M", "concurrency": 1, **speeds}],
        "flags": [{"model": "3b:Q4_K_M", "flags": "defaults", **roof, "share_of_roofline": 0.75, "peak_mib": 4096}],
        "starts": [{"model": "3b:Q4_K_M", "cached": False, "ready_seconds": 9.1, "first_token_seconds": 9.7}],
        "quick": [
            {**size, "output": 1, "milliseconds": 120.0, "answers": True},
            {**size, "output": 16, "milliseconds": 900.0, "answers": False},
            {**size, "output": 64, "milliseconds": None, "answers": False},
        ],
    }
    text = report(found)
    assert "| 3b:Q4_K_M | 1 | 10.0 | 9.9 | 0.98 | 0.97 | 0.99 |" in text
    assert "| 3b:Q4_K_M | defaults | 90.0 | 9.0 | 12.0 | 0.75 | 4096 |" in text
    assert "| 3b:Q4_K_M | no | 9.1 | 9.7 |" in text
    assert "| 3b:Q4_K_M | 2 | 16 | 1 | 120.0 | yes |" in text
    assert "| 3b:Q4_K_M | 2 | 16 | 64 | longer | no |" in text


def test_an_embedding_that_is_only_looked_up_is_not_read_for_each_token() -> None:
    assert bytes_a_token(FACTS, tied=True) == FACTS.tensor_bytes
    assert bytes_a_token(FACTS, tied=False) == FACTS.tensor_bytes - FACTS.token_embedding_bytes


def test_the_models_are_of_true_size() -> None:
    for model in MODELS:
        name, _, kind = model.partition(":")
        assert name in SHAPES
        assert kind in FILE_TYPE
