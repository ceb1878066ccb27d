"""Passes: every changed bit is refused, no text makes the gate raise anything else, no request id passes twice."""

from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.boundary.passes import (
    LEAD_MS,
    LIFE_MS,
    MOST_TEXT,
    WINDOW_MS,
    Gate,
    Pass,
    Refused,
    Sent,
    Signer,
    _packed,
    _unpacked,
    decoded,
    encoded,
    sha256,
)

SIGNER = Signer(b"s" * 32)
BEGAN = 1_700_000_000_000
names = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=MOST_TEXT)
sums = st.binary(min_size=32, max_size=32).map(bytes.hex)
times = st.integers(0, (1 << 63) - 1)
passes = st.builds(Pass, names, names, sums.map("sha256:".__add__), sums, times)


def passed(gate: Gate, text: str, sent: Sent, now: int) -> bool:
    try:
        gate.check(text, sent, now)
    except Refused:
        return False
    return True


@given(passes)
def test_one_value_has_one_encoding(one: Pass) -> None:
    assert decoded(encoded(one)) == one


@given(passes, passes)
def test_two_values_have_two_encodings(one: Pass, other: Pass) -> None:
    assert (encoded(one) == encoded(other)) is (one == other)


@given(st.binary(max_size=700))
def test_bytes_are_those_of_the_value_they_give(raw: bytes) -> None:
    try:
        found = decoded(raw)
    except ValueError:
        return
    assert encoded(found) == raw


@given(names, names, st.binary(max_size=200), st.data())
def test_every_changed_bit_is_refused(request: str, target: str, body: bytes, data: st.DataObject) -> None:
    now = BEGAN + WINDOW_MS
    sent = Sent(request, target, body)
    text = SIGNER.sign(Pass(request, target, "sha256:" + "0" * 64, sha256(body), now))
    raw = bytearray(_unpacked(text))
    at, bit = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(0, 7))
    raw[at] ^= 1 << bit
    gate = Gate([SIGNER.public], BEGAN)
    assert not passed(gate, _packed(bytes(raw)), sent, now)
    place, char = data.draw(st.integers(0, len(text) - 1)), data.draw(st.characters())
    changed = text[:place] + char + text[place + 1 :]
    assert passed(gate, changed, sent, now) is (changed == text)


def test_every_byte_of_one_pass_counts() -> None:
    """All of them, to every value: no sample."""
    now, sent = BEGAN + WINDOW_MS, Sent("id", "a/b/c", b"body")
    text = SIGNER.sign(Pass("id", "a/b/c", "sha256:" + "0" * 64, sha256(b"body"), now))
    raw = _unpacked(text)
    gate = Gate([SIGNER.public], BEGAN)
    for at in range(len(raw)):
        for flip in (1, 0x20, 0x80, 0xFF):
            changed = raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1 :]
            assert not passed(gate, _packed(changed), sent, now), (at, flip)
    for end in range(len(text)):
        assert not passed(gate, text[:end], sent, now), end
    assert passed(gate, text, sent, now)


@given(st.text(max_size=1200), names, names, st.binary(max_size=20), times)
def test_no_text_passes_or_raises_anything_else(text: str, request: str, target: str, body: bytes, now: int) -> None:
    assert not passed(Gate([SIGNER.public], 0), text, Sent(request, target, body), now)


steps = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(-40_000, 40_000), st.integers(-LIFE_MS, LEAD_MS)), max_size=40
)


@given(steps, st.integers(1, 3))
def test_whatever_the_clock_does_no_pass_is_used_twice(walk: list[tuple[str, int, int]], most: int) -> None:
    """Of one request id, too, unless they are a window apart."""
    now, high = BEGAN + WINDOW_MS, BEGAN
    gate = Gate([SIGNER.public], BEGAN, most)
    signed: list[Pass] = []
    used: dict[Pass, int] = {}
    for request, step, ahead in walk:
        now += step
        signed.append(Pass(request, "t", "sha256:" + "0" * 64, sha256(b""), max(0, now + ahead)))
        for one in signed:
            high = max(high, now)
            if passed(gate, SIGNER.sign(one), Sent(one.id, "t", b""), now):
                assert one not in used
                assert all(other.id != one.id or high - at >= WINDOW_MS for other, at in used.items())
                assert one.issued > high - LIFE_MS
                used[one] = high
        assert len(gate) <= most
