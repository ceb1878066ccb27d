"""Whatever the bytes are, reading a header ends in facts or in one kind of refusal, soon and in little memory."""

import io
import struct
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.gguf_file import build

from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.weights import result, stream
from smallmodel_operator.weights.describe import facts
from smallmodel_operator.weights.gguf import BadWeights, read_header

EXAMPLE = next((Path(__file__).parents[2] / "examples/01-first-model/weights").glob("*.gguf"))
REAL = EXAMPLE.read_bytes()[:400_000]
REAL_BYTES = EXAMPLE.stat().st_size
SMALL = build()
SENSELESS = [0, 1, 2, 3, 8, 9, 127, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1]


def read(data: bytes, size: int) -> WeightsFacts | None:
    try:
        return facts(read_header(io.BytesIO(data), size), "artifact", "model.gguf")
    except BadWeights as bad:
        said = bad
    assert said.message
    assert len(said.message) < 600
    return None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    assert read(data, len(data)) is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 2**63))
def test_any_bytes_behind_a_true_beginning(data: bytes, size: int) -> None:
    read(SMALL[:24] + data, max(size, 24 + len(data)))


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """A real header in which a few numbers were replaced by senseless ones, or bytes removed or doubled."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        how = draw(st.sampled_from(["number", "bytes", "cut", "double"]))
        if how == "number":
            width = draw(st.sampled_from([1, 4, 8]))
            number = draw(st.sampled_from(SENSELESS)) % 2 ** (8 * width)
            data[at : at + width] = number.to_bytes(width, "little")
        elif how == "bytes":
            data[at : at + 8] = draw(st.binary(min_size=1, max_size=8))
        elif how == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
    return bytes(data)


@settings(max_examples=1500, deadline=None)
@given(mutated(SMALL))
def test_a_small_header_mutated(data: bytes) -> None:
    found = read(data, len(data))
    if found is not None:
        said = result.encode(found)
        assert len(said.encode()) <= result.MAX_BYTES
        assert result.decode(said) == found


@settings(max_examples=60, deadline=None)
@given(mutated(REAL))
def test_a_real_header_mutated(data: bytes) -> None:
    read(data, REAL_BYTES)


@given(
    st.lists(st.binary(max_size=40), max_size=30),
    st.integers(0, 40),
    st.integers(1, 64),
    st.integers(0, 1500),
)
def test_strings_passed_over_together_are_as_those_read_one_by_one(
    texts: list[bytes], more: int, ahead: int, cut: int
) -> None:
    """Wherever the pieces end that are read ahead, and whatever is cut off."""
    data = b"".join(struct.pack("<Q", len(text)) + text for text in texts) + bytes(more)
    data = data[: max(0, len(data) - cut)]
    found = []
    with mock.patch.object(stream, "AHEAD", ahead):
        for together in (True, False):
            reader = stream.HeaderReader(io.BytesIO(data), len(data))
            try:
                if together:
                    reader.pass_strings(len(texts), 32, "a text")
                else:
                    for _ in texts:
                        reader.string(32, "a text", 0)
                found.append(("", reader.position, reader.take(reader.left)))
            except BadWeights as bad:
                found.append((bad.message, 0, b""))
    assert found[0] == found[1]
