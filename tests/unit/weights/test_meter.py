"""How far, how fast, and does it move: with a clock of the test's own."""

from smallmodel_operator.weights.meter import STALL_BYTES, Meter, Stall


def test_too_few_bytes_in_the_time_are_a_stall() -> None:
    stall = Stall(0.0, seconds=30, least=1000)
    assert not stall.stalled(999, 29.9)
    assert stall.stalled(0, 30.0)
    assert not stall.stalled(1, 59.0), "after a stall the next half minute counts"


def test_enough_bytes_in_every_half_minute_are_none() -> None:
    stall = Stall(0.0)
    assert not any(stall.stalled(STALL_BYTES, now) for now in range(30, 3000, 30))
    assert stall.stalled(STALL_BYTES - 1, 3000)


def test_time_left_is_at_the_speed_of_the_last_half_minute() -> None:
    meter = Meter(0.0)
    assert meter.seconds_left(0.0) is None
    for second in range(1, 101):
        meter.at(second * 10, 10_000, float(second))
    assert (meter.percent, meter.seconds_left(100.0)) == (10, 900)
    for second in range(101, 141):
        meter.at(1000 + (second - 100) * 100, 10_000, float(second))
    assert meter.seconds_left(140.0) == 50, "ten times as fast since more than half a minute"


def test_pauses_count_as_slowness() -> None:
    meter = Meter(0.0)
    meter.at(100, 1000, 10.0)
    assert meter.seconds_left(10.0) == 90
    assert meter.seconds_left(20.0) == 180


def test_beginning_anew_forgets_the_speed() -> None:
    meter = Meter(0.0)
    meter.at(500, 1000, 10.0)
    meter.at(0, 1000, 11.0)
    assert meter.seconds_left(11.0) is None
    meter.at(10, 1000, 12.0)
    assert meter.seconds_left(12.0) == 99


def test_an_unknown_length_has_no_percent_and_no_end() -> None:
    meter = Meter(0.0)
    meter.at(500, 0, 10.0)
    assert (meter.percent, meter.seconds_left(10.0)) == (0, None)


def test_a_line_is_due_every_five_percent_or_quarter_minute() -> None:
    meter = Meter(0.0)
    told = []
    for second in range(60):
        meter.at(second * 2, 200, float(second))
        if meter.due(float(second)):
            told.append(meter.percent)
    assert told == list(range(0, 60, 5))
    slow = Meter(0.0)
    assert [s for s in range(60) if not slow.at(s, 10**6, float(s)) and slow.due(float(s))] == [0, 15, 30, 45]
