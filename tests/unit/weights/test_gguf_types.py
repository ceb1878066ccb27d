import gguf

from smallmodel_operator.weights.gguf_types import BLOCKS, FILE_TYPES, SCALARS


def test_every_block_type_and_size_is_that_of_the_gguf_package() -> None:
    theirs = {int(kind): (kind.name, *size) for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert theirs == BLOCKS


def test_every_file_type_has_the_name_of_the_gguf_package() -> None:
    theirs = {int(t): t.name.removeprefix("MOSTLY_").removeprefix("ALL_") for t in gguf.LlamaFileType}
    theirs.pop(int(gguf.LlamaFileType.GUESSED))
    assert theirs == FILE_TYPES


def test_scalars_are_the_value_types_but_string_and_array() -> None:
    values = {int(v) for v in gguf.GGUFValueType} - {gguf.GGUFValueType.STRING, gguf.GGUFValueType.ARRAY}
    assert values == set(SCALARS)
