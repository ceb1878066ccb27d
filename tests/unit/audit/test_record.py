"""Records: one way to write each, and a hash that fits nothing else."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.audit.record import ORIGIN, canonical, read, seal

BODY = {"kind": "answer", "time": "t", "gen_ai.request.model": 'böt \x01"', "slm.attempts": 1}


def test_a_record_is_a_line_of_json_with_its_hash() -> None:
    line, made = seal(BODY, 7, ORIGIN)
    assert line.count(b"\n") == 1
    assert json.loads(line) == {**BODY, "seq": 7, "prev": ORIGIN, "hash": made}
    found = read(line)
    assert found.intact
    assert (found.seq, found.prev, found.kind, found.hash) == (7, ORIGIN, "answer", made)


def test_the_hash_is_of_rfc_8785() -> None:
    """As RFC 8785 writes such values: anybody can check it."""
    assert canonical({"b": 1, "a": 'é\x1f"\\/\n'}) == '{"a":"é\\u001f\\"\\\\/\\n","b":1}'.encode()


def test_every_changed_byte_is_seen() -> None:
    line, _ = seal(BODY, 7, ORIGIN)
    for place in range(len(line) - 1):
        changed = bytearray(line)
        changed[place] ^= 1
        with contextlib.suppress(ValueError):
            assert not read(bytes(changed)).intact, place


@pytest.mark.parametrize("text", [b"", b"{}", b"no record", b"{" * 5000 + b',"hash":"' + b"0" * 64 + b'"}'])
def test_what_is_no_record(text: bytes) -> None:
    with pytest.raises(ValueError):
        read(text)


def test_another_way_to_write_the_same_is_no_record() -> None:
    line, _made = seal(BODY, 7, ORIGIN)
    assert not read(line.replace(b'"seq":7', b'"seq": 7')).intact
    assert not read(line.replace(b'"seq":7', b'"seq":7,"seq":7')).intact


@given(st.dictionaries(st.sampled_from(["a", "b", "a.b", "B_1"]), st.text() | st.integers(0, 2**53)))
def test_the_standard_library_writes_the_same(body: dict[str, str | int]) -> None:
    """Whoever checks without our program needs nothing else."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical(body) == text.encode()


@given(
    st.dictionaries(
        st.text(min_size=1).filter(lambda k: k not in ("seq", "prev", "kind", "hash")),
        st.text() | st.integers(0, 2**53),
    )
)
def test_whatever_it_says_it_is_read_as_it_was_written(body: dict[str, str | int]) -> None:
    line, _made = seal({**body, "kind": "note"}, 1, ORIGIN)
    found = read(line)
    assert found.intact
    assert found.body == {**body, "kind": "note", "seq": 1, "prev": ORIGIN}
