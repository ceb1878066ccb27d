"""Records that wait for their commit."""

import json
from typing import Any

import pytest

from smallmodel_operator.audit.record import ORIGIN, Kind, read
from smallmodel_operator.audit.sign import Signer, signed
from smallmodel_operator.gateway.accesslog.line import parse
from smallmodel_operator.gateway.record.answer import answer as answer_of
from smallmodel_operator.gateway.record.pending import Pending


def answer(number: int) -> Any:
    said = {"time": f"2026-11-21T00:00:{number:02d}Z", "http.response.status_code": 200, "slm.attempts": number}
    return answer_of(parse(json.dumps(said).encode()))


def pending(seq: int = 0) -> Pending:
    return Pending(seq, ORIGIN, Signer(b"s" * 32).sign)


def records(data: bytes) -> list[Any]:
    found = [read(line) for line in data.splitlines()]
    assert all(record.intact for record in found)
    assert [b.prev for b in found[1:]] == [a.hash for a in found[:-1]]
    return found


def test_the_last_one_carries_the_commit() -> None:
    waiting = pending(6)
    for number in range(3):
        waiting.add(answer(number))
    data, seq, made = waiting.whole({"log": 1})
    first, second, last = records(data)
    assert [first.seq, second.seq, last.seq] == [7, 8, 9]
    assert (seq, made) == (9, last.hash)
    assert first.prev == ORIGIN
    assert last.body["commit"] == {"log": 1}
    assert signed(last.body)
    assert "commit" not in first.body
    assert "commit" not in second.body
    assert waiting.answered == [answer(n).time for n in range(3)]


def test_what_could_not_be_written_is_the_same_again_with_what_came_since() -> None:
    waiting = pending()
    waiting.add(answer(1))
    before, _, _ = waiting.whole({"log": 1})
    assert waiting.whole({"log": 1})[0] == before
    waiting.add(answer(2))
    first, second = records(waiting.whole({"log": 2})[0])
    assert "commit" not in first.body
    assert second.body["commit"] == {"log": 2}


def test_going_back_forgets_what_came_after() -> None:
    waiting = pending()
    waiting.add(answer(1))
    mark = waiting.mark()
    expected = waiting.whole({"log": 1})
    for number in range(2, 6):
        waiting.add(answer(number))
    waiting.back_to(mark)
    assert waiting.whole({"log": 1}) == expected
    assert len(waiting.answered) == 1


def test_a_mark_of_what_was_committed_means_nothing() -> None:
    old, new = pending(), pending(5)
    mark = old.mark()
    new.add(answer(1))
    new.back_to(mark)
    assert new
    assert records(new.whole({})[0])[0].seq == 6


def test_a_checkpoint_is_signed_with_its_place() -> None:
    waiting = pending(3)
    waiting.add({"kind": Kind.CHECKPOINT, "time": "t", "requests": []})
    waiting.add(answer(1))
    point, _ = records(waiting.whole({})[0])
    assert signed(point.body)
    assert point.seq == 4


def test_nothing_is_no_commit() -> None:
    waiting = pending()
    assert not waiting
    with pytest.raises(ValueError, match="nothing waits"):
        waiting.whole({})
