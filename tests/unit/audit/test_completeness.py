"""What two counts, read at different moments, prove."""

from smallmodel_operator.audit.completeness import Count


def test_all_is_recorded() -> None:
    count = Count("s").seen(before=10, least=10, most=10, after=10)
    assert (count.missing, count.surplus, count.finished, count.recorded) == (0, 0, 10, 10)


def test_what_comes_meanwhile_is_neither_missing_nor_too_much() -> None:
    """Ten came between two readings, and five were open."""
    count = Count("s").seen(before=90, least=95, most=105, after=110)
    assert (count.missing, count.surplus) == (0, 0)


def test_what_is_missing_stays_missing_under_load() -> None:
    idle = Count("s").seen(before=7, least=10, most=10, after=7)
    assert idle.missing == 3
    busy = idle.seen(before=97, least=105, most=115, after=130)
    assert busy.missing == 3


def test_what_was_late_is_not_missing() -> None:
    late = Count("s").seen(before=0, least=10, most=10, after=4)
    assert late.missing == 6
    assert late.seen(before=10, least=10, most=10, after=10).missing == 0


def test_records_of_no_request() -> None:
    count = Count("s").seen(before=12, least=10, most=10, after=12)
    assert (count.missing, count.surplus) == (0, 2)
    assert count.dump() == {"since": "s", "finished": 10, "recorded": 12, "missing": 0, "surplus": 2}
