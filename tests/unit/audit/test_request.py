"""Whether a body is the one that was sent, and the key that tells it."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallmodel_operator.audit.record import ORIGIN, Record, read, seal
from smallmodel_operator.audit.request import FIELD, RequestKey, Stamp, Verdict, judge
from smallmodel_operator.core.keys import request_key

MASTER = b"m" * 32
KEY, OLDER = RequestKey.made(MASTER, "support", 2), RequestKey.made(MASTER, "support", 1)
BODY = b'{"model": "bot"}'


def record(text: str | None, **more: Any) -> Record:
    body = {"kind": "answer", **more, **({FIELD: text} if text is not None else {})}
    return read(seal(body, 1, ORIGIN)[0])


def stamped(body: bytes, key: RequestKey = KEY) -> str:
    return f"{key.name}:{hmac.new(key.key, body, hashlib.sha256).hexdigest()}"


@settings(max_examples=50)
@given(sent=st.binary(max_size=300), given_body=st.binary(max_size=300))
def test_a_body_matches_its_own_record_and_no_other(sent: bytes, given_body: bytes) -> None:
    said = record(stamped(sent))
    assert judge(said, [OLDER, KEY], sent).verdict is Verdict.MATCH
    assert (judge(said, [KEY], given_body).verdict is Verdict.MATCH) == (sent == given_body)


def test_another_size_is_said() -> None:
    found = judge(record(stamped(BODY), **{"http.request.body.size": 16}), [KEY], BODY + b"\n")
    assert (found.verdict, "it has 17 bytes, the one sent had 16" in found.why) == (Verdict.NO_MATCH, True)
    assert "bytes" not in judge(record(stamped(BODY)), [KEY], BODY + b"\n").why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "the record has no HMAC"),
        (f"{KEY.name}:too-large", "more than 65536 bytes"),
        (f"{KEY.name}:some-later-reason", "some-later-reason"),
        (stamped(BODY, OLDER), f"key {OLDER.name}, which is not among the keys given"),
        ("nonsense", "neither an HMAC nor why"),
        (stamped(BODY).upper(), "neither an HMAC nor why"),
        (stamped(BODY) + "\n", "neither an HMAC nor why"),
    ],
)
def test_what_cannot_be_told_says_why(text: str | None, why: str) -> None:
    found = judge(record(text), [KEY], BODY)
    assert (found.verdict, why in found.why) == (Verdict.UNKNOWN, True), found.why


def test_a_record_that_was_changed_tells_nothing() -> None:
    line = seal({"kind": "answer", FIELD: stamped(b"another")}, 1, ORIGIN)[0]
    forged = read(line.replace(stamped(b"another").encode(), stamped(BODY).encode()))
    assert judge(forged, [KEY], BODY).verdict is Verdict.UNKNOWN


def test_a_key_is_of_one_namespace_and_generation_and_its_name_tells_nothing_of_it() -> None:
    places = [("support", 1), ("support", 2), ("crm", 1), ("support:1", 1)]
    keys = [RequestKey.made(MASTER, *place) for place in places]
    assert len({key.key for key in keys}) == len({key.name for key in keys}) == len(places)
    assert request_key(MASTER, "support", 2) == KEY.key == RequestKey.made(MASTER, "support", 2).key
    assert RequestKey.made(b"n" * 32, "support", 2).key != KEY.key
    assert Stamp.of(f"{KEY.name}:too-large").generation == 2
    assert KEY.key.hex() not in f"{KEY!r}{KEY.name}"


def test_a_key_in_a_file() -> None:
    assert RequestKey.load(KEY.dump()) == KEY
    said = json.loads(KEY.dump())
    wrong = ["", "[]", "null", "[" * 5000, "{}"]
    wrong += [json.dumps(said | more) for more in ({"form": "x"}, {"key": "00"}, {"generation": 1}, {"key": None})]
    for text in wrong:
        with pytest.raises(ValueError, match="not what `slm audit key` prints"):
            RequestKey.load(text)
