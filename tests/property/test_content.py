"""What is sealed is read by its key alone; erased, by nobody; whatever is done to a line is found, erased or not."""

import random as chance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.audit.content.keyring import Keyring, NotAKeyring, Random
from smallmodel_operator.audit.content.sealed import Form, NotOpened, Sealed, opened, seal
from smallmodel_operator.audit.content.state import State, state

AT = "2026-11-23T05:30:00.000000Z"
LATER = "2026-11-24T05:30:00.000000Z"
subjects = st.sampled_from(["ada", "bob", "eve", "Ada", "ada ", "jürgen"])
forms = st.sampled_from(Form)
seeds = st.integers(0, 2**32)


def drawn(seed: int) -> Random:
    return chance.Random(seed).randbytes


def one(plain: bytes, subject: str, form: Form, seed: int) -> tuple[Keyring, Sealed]:
    random = drawn(seed)
    ring = Keyring.new(random)
    ring, key = ring.keyed(ring.pseudonym(subject), random)
    return ring, seal(plain, "id-1", form, key, random)


@given(st.binary(max_size=500), subjects, forms, seeds)
def test_its_key_opens_it(plain: bytes, subject: str, form: Form, seed: int) -> None:
    ring, sealed = one(plain, subject, form, seed)
    assert opened(Sealed.read(sealed.line()), ring.keys[sealed.key]) == plain
    assert state(sealed.reference(), sealed.line(), ring, ()) is State.READABLE


@given(st.binary(min_size=8, max_size=200), subjects, forms, seeds)
def test_neither_line_nor_reference_tells_what_it_was_or_whose(
    plain: bytes, subject: str, form: Form, seed: int
) -> None:
    ring, sealed = one(plain, f"subject {subject}", form, seed)
    said = sealed.line() + repr(sealed.reference()).encode()
    assert plain not in said
    assert plain.hex().encode() not in said
    assert f"subject {subject}".encode() not in said
    assert ring.keys[sealed.key].secret.hex().encode() not in said


@given(st.lists(st.tuples(subjects, st.sampled_from(["keep", "erase"])), max_size=20), seeds)
def test_erased_is_what_was_kept_before_and_nothing_else(steps: list[tuple[str, str]], seed: int) -> None:
    """Whoever comes back has a key that opens nothing old, and nobody else loses anything."""
    random = drawn(seed)
    ring = Keyring.new(random)
    kept: list[tuple[str, Sealed]] = []
    gone: list[Sealed] = []
    for number, (subject, step) in enumerate(steps):
        pseudonym = ring.pseudonym(subject)
        if step == "keep":
            ring, key = ring.keyed(pseudonym, random)
            kept.append((subject, seal(b"text", f"id-{number}", Form.FULL, key, random)))
        else:
            before = ring.of(pseudonym)
            ring = ring.without(pseudonym, AT)
            assert before is None or before.secret.hex().encode() not in ring.dump()
            gone += [sealed for whose, sealed in kept if whose == subject]
            kept = [(whose, sealed) for whose, sealed in kept if whose != subject]
    ring = Keyring.load(ring.dump())
    recorded = set(ring.erased)
    assert {state(s.reference(), s.line(), ring, recorded) for _, s in kept} <= {State.READABLE}
    assert {state(s.reference(), s.line(), ring, recorded) for s in gone} <= {State.ERASED}
    assert {state(s.reference(), s.line(), ring, ()) for s in gone} <= {State.UNRECORDED}


@given(st.binary(max_size=60), st.booleans(), st.data())
def test_a_changed_line_is_found_with_its_key_or_without(plain: bytes, erased: bool, data: st.DataObject) -> None:
    ring, sealed = one(plain, "ada", Form.FULL, 7)
    if erased:
        ring = ring.without(sealed.subject, AT)
    line = bytearray(sealed.line()[:-1])
    line[data.draw(st.integers(0, len(line) - 1))] ^= data.draw(st.integers(1, 255))
    assert state(sealed.reference(), bytes(line), ring, ring.erased) is State.CHANGED
    assert state(sealed.reference(), None, ring, ring.erased) is State.MISSING


@given(st.sampled_from(["request", "subject", "key", "form", "wrapped", "nonce", "ciphertext"]), seeds)
def test_a_part_of_another_line_does_not_fit(name: str, seed: int) -> None:
    """Also for who changes the reference with it."""
    random = drawn(seed)
    ring, sealed = one(b"text", "ada", Form.FULL, seed)
    key = ring.keys[sealed.key]
    ring, other = ring.keyed(ring.pseudonym("bob"), random)
    foreign = seal(b"text", "id-2", Form.REDACTED, other, random)
    mixed = Sealed(**{field: getattr(sealed, field) for field in Sealed.__slots__} | {name: getattr(foreign, name)})
    with pytest.raises(NotOpened):
        opened(mixed, key)
    assert state(sealed.reference(), mixed.line(), ring, ()) is State.CHANGED
    assert state(mixed.reference(), mixed.line(), ring, ()) is State.LOST


def test_the_same_in_other_bytes_is_changed() -> None:
    ring, sealed = one(b"text", "ada", Form.FULL, 1)
    assert state(sealed.reference(), sealed.line().replace(b'":"', b'": "', 1), ring, ()) is State.CHANGED


@pytest.mark.parametrize("name", ["request.id", "slm.subject", "slm.content.form", "slm.content.key"])
def test_a_record_that_says_another_thing_than_its_line_does_not_fit(name: str) -> None:
    ring, sealed = one(b"text", "ada", Form.FULL, 1)
    assert state({**sealed.reference(), name: "another"}, sealed.line(), ring, ()) is State.CHANGED


def test_a_key_that_is_lost_is_not_called_erased_nor_one_that_is_back() -> None:
    ring, sealed = one(b"text", "ada", Form.FULL, 1)
    lost = Keyring(ring.pepper)
    erased = ring.without(sealed.subject, AT)
    assert state(sealed.reference(), sealed.line(), lost, ()) is State.LOST
    assert state(sealed.reference(), sealed.line(), lost, erased.erased) is State.ERASED
    assert state(sealed.reference(), sealed.line(), ring, erased.erased) is State.BACK


def test_erasing_again_changes_nothing() -> None:
    ring, sealed = one(b"text", "ada", Form.FULL, 1)
    once = ring.without(sealed.subject, AT)
    assert once.without(sealed.subject, LATER) == once
    assert [stone.time for stone in once.tombstones(sealed.subject)] == [AT]


def test_pseudonyms_are_of_one_ring() -> None:
    one_ring, other = Keyring.new(drawn(1)), Keyring.new(drawn(2))
    assert one_ring.pseudonym("ada") == Keyring.load(one_ring.dump()).pseudonym("ada")
    assert len({one_ring.pseudonym("ada"), one_ring.pseudonym("bob"), other.pseudonym("ada")}) == 3


@given(st.binary(max_size=80) | st.data())
def test_a_ring_that_is_none_is_said_to_be_none(data: bytes | st.DataObject) -> None:
    if not isinstance(data, bytes):
        whole = one(b"text", "ada", Form.FULL, 3)[0].dump()
        at = data.draw(st.integers(0, len(whole) - 1))
        data = whole[:at]
        if at == len(whole) - 1:
            return  # its last line break alone is gone
    with pytest.raises(NotAKeyring, match=r"^it"):
        Keyring.load(data)


def test_nothing_secret_is_shown() -> None:
    ring, sealed = one(b"text", "ada", Form.FULL, 1)
    shown = f"{ring!r} {ring.keys[sealed.key]!r}"
    assert repr(ring.pepper) not in shown
    assert repr(ring.keys[sealed.key].secret) not in shown
