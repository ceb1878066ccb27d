import gguf

from smallmodel_operator.weights.architectures import LLAMA_CPP, NOT_SERVED


def test_all_that_the_gguf_package_knows_is_known() -> None:
    assert set(gguf.MODEL_ARCH_NAMES.values()) <= LLAMA_CPP | NOT_SERVED


def test_what_is_no_model_by_itself_is_not_served() -> None:
    assert not LLAMA_CPP & NOT_SERVED
    assert {"llama", "qwen2", "qwen3", "gemma3", "mistral3", "phi3", "granite", "smollm3", "gpt-oss"} <= LLAMA_CPP
