"""A target outside that failed is left alone for a while; then one tries, and what came of it counts."""

from smallmodel_operator.gateway.decide.outages import REST_SECONDS, Outages

CLOUD, OTHER = "support/desk/cloud", "support/desk/other"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_rests_after_a_failure_and_one_tries() -> None:
    clock = Clock()
    outages = Outages(clock)
    assert not outages.resting(CLOUD)
    outages.came(CLOUD, 503)
    assert outages.resting(CLOUD)
    assert not outages.resting(OTHER)
    clock.now += REST_SECONDS
    assert [outages.resting(CLOUD) for _ in range(3)] == [False, True, True], "one tries, the others wait"
    outages.came(CLOUD, 0)
    assert outages.resting(CLOUD), "whoever left says nothing of it"
    outages.came(CLOUD, 200)
    assert not outages.resting(CLOUD)


def test_what_it_refuses_is_an_answer() -> None:
    outages = Outages(Clock())
    for status in (200, 400, 401, 403, 428, 499):
        outages.came(CLOUD, status)
        assert not outages.resting(CLOUD)


def test_who_takes_no_more_now_is_left_alone() -> None:
    outages = Outages(Clock())
    outages.came(CLOUD, 429)
    assert outages.resting(CLOUD)
