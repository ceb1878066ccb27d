"""Who may wait and who goes first."""

import pytest

from smallmodel_operator.gateway.activate.queue import Admission, Limits, Outcome, Queue, Ticket

BOT = "support/bot"


def admit(queue: Queue, namespace: str = "a", target: str = BOT, size: int = 0, **more: float) -> Admission:
    values = {"wait": 10, "bound": 100, **more}
    return queue.admit(target, namespace, size, values.pop("now", 0), **values)  # type: ignore[arg-type]


def ticket(admission: Admission) -> Ticket:
    assert admission.ticket is not None
    return admission.ticket


def test_the_bound_of_a_model_counts_what_other_gateways_hold() -> None:
    queue = Queue()
    assert admit(queue, bound=3, elsewhere=1).ticket
    assert admit(queue, bound=3, elsewhere=1).ticket
    refused = admit(queue, bound=3, elsewhere=1)
    assert (refused.ticket, refused.cause, queue.count(BOT)) == (None, Outcome.QUEUE_FULL, 2)
    assert admit(queue, bound=3, target="support/other", elsewhere=0).ticket


def test_at_the_bound_the_newest_of_who_holds_most_makes_room() -> None:
    queue = Queue()
    held = [ticket(admit(queue, "greedy", bound=4)) for _ in range(4)]
    new = admit(queue, "modest", bound=4)
    assert new.ticket is not None
    assert new.displaced == ((held[3], Outcome.QUEUE_FULL),)
    assert admit(queue, "greedy", bound=4).cause is Outcome.QUEUE_FULL
    assert admit(queue, "modest", bound=4).displaced == ((held[2], Outcome.QUEUE_FULL),)
    assert admit(queue, "modest", bound=4).cause is Outcome.QUEUE_FULL, "two and two is fair"


@pytest.mark.parametrize("bound", [1, 2, 3, 5])
def test_two_namespaces_never_displace_each_other_in_turn(bound: int) -> None:
    queue = Queue()
    displaced = sum(len(admit(queue, ("a", "b")[n % 2], bound=bound).displaced) for n in range(200))
    assert displaced <= bound


def test_an_overshoot_is_not_paid_by_those_who_wait() -> None:
    queue = Queue()
    for _ in range(4):
        admit(queue, "greedy", bound=10)
    assert len(admit(queue, "modest", bound=4, elsewhere=5).displaced) == 1


def test_bytes_are_bounded_over_all_models() -> None:
    queue = Queue(Limits(requests=10, bytes=100))
    first = ticket(admit(queue, "greedy", size=40))
    second = ticket(admit(queue, "greedy", target="support/other", size=50))
    assert admit(queue, "greedy", size=20).cause is Outcome.GATEWAY_FULL
    assert admit(queue, "modest", size=45).cause is Outcome.GATEWAY_FULL, "it would hold more than the other then"
    assert admit(queue, "modest", size=30).displaced == ((second, Outcome.GATEWAY_FULL),)
    assert queue.bytes == 70
    assert admit(queue, "modest", size=101).cause is Outcome.GATEWAY_FULL
    assert queue.leave(first.id)
    assert not queue.leave(first.id)
    assert queue.bytes == 30


def test_requests_are_bounded_over_all_models() -> None:
    queue = Queue(Limits(requests=2))
    admit(queue, target="support/one")
    admit(queue, target="support/two")
    assert admit(queue, target="support/three").cause is Outcome.GATEWAY_FULL


def test_a_body_longer_than_announced_counts_in_full() -> None:
    queue = Queue(Limits(bytes=100))
    chunked = ticket(admit(queue))
    assert queue.grew(chunked.id, 60) is None
    assert queue.grew(chunked.id, 50) is None, "it only grows"
    assert queue.bytes == 60
    assert queue.grew(chunked.id, 101) is Outcome.GATEWAY_FULL
    assert (queue.bytes, len(queue), queue.count(BOT)) == (0, 0, 0)
    assert queue.grew(chunked.id, 200) is None


def test_namespaces_take_turns_at_release_and_the_oldest_goes_first() -> None:
    queue = Queue()
    order = [ticket(admit(queue, n)).id for n in "aaaab"]
    assert [t.id for t in queue.take(BOT, 3, 0)] == [order[0], order[4], order[1]]
    last = ticket(admit(queue, "b")).id
    assert [t.id for t in queue.take(BOT, 9, 0)] == [order[2], last, order[3]]
    assert (len(queue), queue.counts()) == (0, {})


def test_one_that_must_not_go_yet_stays_and_blocks_nobody() -> None:
    queue = Queue()
    late = ticket(admit(queue, "a", earliest=5))
    soon = ticket(admit(queue, "a"))
    assert [t.id for t in queue.take(BOT, 9, 1)] == [soon.id]
    assert queue.take(BOT, 9, 4.9) == []
    assert [t.id for t in queue.take(BOT, 9, 5)] == [late.id]


def test_who_waited_too_long_is_taken_out() -> None:
    queue = Queue()
    short = ticket(admit(queue, wait=5))
    admit(queue, wait=50)
    assert queue.expired(BOT, 4.99) == []
    assert queue.expired(BOT, 5) == [short]
    assert len(queue.clear(BOT)) == 1
    assert len(queue) == 0
