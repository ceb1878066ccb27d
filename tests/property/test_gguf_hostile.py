"""Whatever the bytes are, reading a header ends, with a header or with a message, and with little memory."""

import io
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.gguf_file import build

from smallmodel_operator.weights import describe, template
from smallmodel_operator.weights.gguf import BadWeights, read_header

WHOLE = build({"tokenizer.chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"})
SMALL = 64 * 2**20


def look(data: bytes, size: int | None = None) -> None:
    message = "."
    try:
        describe.facts(read_header(io.BytesIO(data), len(data) if size is None else size), "a", "m.gguf")
    except BadWeights as bad:
        message = bad.message
    assert message.endswith((".", ")"))
    assert len(message) < 1000


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_any_bytes_changed(data: st.DataObject) -> None:
    changed = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(changed) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        changed[place : place + len(piece)] = piece
    look(bytes(changed))


@given(st.integers(0, len(WHOLE)), st.binary(max_size=64), st.integers(0, len(WHOLE)))
@settings(max_examples=300, deadline=None)
def test_any_bytes_put_in_or_taken_out(place: int, piece: bytes, end: int) -> None:
    look(WHOLE[:place] + piece + WHOLE[end:])


@given(st.binary(max_size=400), st.integers(0, 2**63))
@settings(max_examples=300, deadline=None)
def test_any_claim_of_size(tail: bytes, size: int) -> None:
    """A size that lies must not be believed before the bytes are there."""
    tracemalloc.start()
    try:
        look(WHOLE[:24] + tail, size)
        assert tracemalloc.get_traced_memory()[1] < SMALL
    finally:
        tracemalloc.stop()


PIECES = st.sampled_from(
    ["{{", "}}", "{%", "%}", "{#", "#}", "if", "for", "in", "x", "messages", ".", "[", "]", "(", ")", "'", '"', "|",
     "tojson", "attr", "__class__", "range", "9" * 20, "**", "*", "~", "+", "endif", "endfor", "set", "=", "==", "is",
     "macro", "a()", "\n", "\0", "\\", "generation", "not", "or", "-", ",", ":", "namespace", "content"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_template_is_looked_at(pieces: list[str]) -> None:
    text = " ".join(pieces)
    found = template.scan(text)
    if found is not None:
        assert 1 <= found.line <= text.count("\n") + 1


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_is_looked_at(text: str) -> None:
    template.scan(text)
