"""Whether the network enforced policies, from records: nothing that no run has shown counts as proven."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smallmodel_operator.audit import history as module
from smallmodel_operator.audit.history import History, bounds, combined, shares, told
from smallmodel_operator.audit.period import Period
from smallmodel_operator.audit.record import ORIGIN, read, seal

MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)
LEAK = "a stranger reached a model's pod on TCP 8080"


def at(hour: float) -> str:
    return (MIDNIGHT + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")


def time(hour: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hour)


def body(
    status: str, since: float, until: float | None = None, *, before: tuple[str, float] | None = None, **more: Any
) -> dict[str, Any]:
    value: dict[str, Any] = {"kind": "note", "event": "enforcement", "status": status, "since": at(since)}
    value |= {"reason": "R", "message": f"{status} at {since}", "through": [LEAK] if status == "False" else []}
    value["time"] = at(max(since, until or since))
    if until is not None:
        value["until"] = at(until)
    if before is not None:
        value["before"] = {"status": before[0], "until": at(before[1])}
    return value | more


def chained(*bodies: dict[str, Any]) -> History:
    found = History()
    for number, value in enumerate(bodies, start=1):
        found.add(read(seal(value, number, ORIGIN)[0]))
    return found


def rows(history: History, begin: float = 0, end: float = 24) -> list[tuple[str, float, float]]:
    def hour(moment: datetime) -> float:
        return (moment - MIDNIGHT).total_seconds() / 3600

    return [(s.status, hour(s.since), hour(s.until)) for s in history.listed(time(begin), time(end))]


def test_proven_is_only_what_lies_between_two_runs_that_showed_it() -> None:
    found = chained(body("True", 2, 3), body("True", 2, 20, before=("True", 19)))
    assert rows(found) == [("Unknown", 0, 2), ("True", 2, 20), ("Unknown", 20, 24)]


def test_between_two_different_findings_nobody_knows() -> None:
    found = chained(body("True", 0, 0), body("False", 10, 10, before=("True", 9)), body("True", 12, 24))
    assert rows(found) == [("True", 0, 9), ("Unknown", 9, 10), ("False", 10, 12), ("True", 12, 24)]
    assert shares(found.spans, time(0), time(24)) == {
        "whole": 86400, "proven": 21 * 3600, "not_proven": 2 * 3600, "unknown": 3600, "open": 1,
    }  # fmt: skip


def test_what_was_open_stays_open_until_a_run_shows_that_it_is_not() -> None:
    found = chained(body("False", 10, 10), body("True", 15, 16))
    assert rows(found, 9, 17) == [("Unknown", 9, 10), ("False", 10, 15), ("True", 15, 16), ("Unknown", 16, 17)]


def test_silence_is_unknown_and_says_why() -> None:
    found = chained(body("True", 0, 1), body("Unknown", 4, before=("True", 4)), body("True", 8, 9))
    assert rows(found, 0, 9) == [("True", 0, 4), ("Unknown", 4, 8), ("True", 8, 9)]
    assert [s.message for s in found.listed(time(0), time(12)) if s.status == "Unknown"] == [
        "Unknown at 4", module.NOTHING,
    ]  # fmt: skip


def test_a_silence_that_goes_on_says_why_in_a_later_time_too() -> None:
    found = chained(body("True", 0, 1), body("Unknown", 4, before=("True", 4)))
    [gap] = found.listed(time(10), time(20))
    assert (gap.status, gap.message, gap.seq) == ("Unknown", "Unknown at 4", 2)


def test_a_record_that_is_gone_proves_nothing() -> None:
    """The one in the middle was taken out: what the last one says of it is not laid over the first."""
    found = chained(body("True", 0, 1), body("True", 12, 13, before=("False", 11)))
    assert rows(found, 0, 13) == [("True", 0, 1), ("Unknown", 1, 12), ("True", 12, 13)]


@pytest.mark.parametrize(
    "broken",
    [
        {"since": "soon"}, {"since": 7}, {"until": None}, {"until": "x"}, {"before": 7}, {"before": {"status": "True"}},
        {"through": 7}, {"time": ""}, {"status": None},
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_read_says_nothing(broken: dict[str, Any]) -> None:
    found = chained(body("True", 0, 1), {**body("True", 5, 6), **broken})
    assert rows(found, 0, 6) == [("True", 0, 1), ("Unknown", 1, 6)]


def test_nobody_knows_what_comes() -> None:
    found = chained(body("True", 0, 23, time=at(5)), body("True", 0, 23, before=("True", 22), time=at(6)))
    assert rows(found) == [("True", 0, 6), ("Unknown", 6, 24)]


def test_other_records_say_nothing() -> None:
    assert not chained({"kind": "note", "event": "boundary", "time": at(1)}, {"kind": "answer", "time": at(1)}).spans


def test_chains_together() -> None:
    """A gateway that began later leaves no gap where another knows; one that saw something outweighs the rest."""
    first, second = chained(body("True", 0, 10)), chained(body("True", 8, 20), body("False", 20, 22))
    third = chained(body("False", 5, 6))
    found = combined([first, second, third])
    assert shares(found, time(0), time(24)) == {
        "whole": 86400, "proven": 19 * 3600, "not_proven": 3 * 3600, "unknown": 2 * 3600, "open": 2,
    }  # fmt: skip


def test_what_got_through_at_one_moment_is_not_lost() -> None:
    found = combined([chained(body("True", 0, 10)), chained(body("False", 5, 5))])
    assert shares(found, time(0), time(10))["open"] == 1


def test_a_period_ends_when_the_report_is_made() -> None:
    day = Period.of("2026-11-21")
    assert bounds(day, at(6)) == (time(0), time(6))
    assert bounds(day, at(99)) == (time(0), time(24))
    assert bounds(day, at(-5)) == (time(0), time(0)), "a time that has not come yet"
    assert shares([], *bounds(day, at(-5)))["whole"] == 0


def test_many_findings_are_cut_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FINDINGS", 3)
    found = chained(*(body("True", hour, hour + 0.5) for hour in range(10)))
    value = told(found, time(0), time(10))
    assert (len(value["findings"]), value["older"]) == (3, 17)
    assert value["findings"][-1]["since"] == at(9.5)
