"""Runs become one verdict: a proof lasts a while, what is wrong anywhere is wrong, what is required is kept closed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.boundary import enforcement
from smallmodel_operator.boundary.canary import Finding
from smallmodel_operator.boundary.enforcement import PENDING, Enforcement, Run, after, gate, pause, required, wishes
from smallmodel_operator.boundary.nodes import Nodes
from smallmodel_operator.core.facts import Boundary
from smallmodel_operator.core.outcome import NotYet, Refused

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
TEN = timedelta(minutes=10)
GOOD = Finding(True, Reason.POLICIES_ENFORCED, "Nothing got through.")
BAD = Finding(False, Reason.POLICIES_NOT_ENFORCED, "Something got through.", ("a model's pod reached DNS",))
UNKNOWN = Finding(None, Reason.PROBE_FAILED, "No pod was made.")


def runs(*steps: tuple[float, str, Finding], nodes: Nodes | None = None) -> Enforcement:
    """After runs at these minutes, on these nodes; `nodes`: those there are."""
    known = PENDING
    for minutes, node, finding in steps:
        known = after(known, Run(finding, node, START + timedelta(minutes=minutes)), TEN, nodes)
    return known


def test_before_the_first_run_nothing_is_known() -> None:
    assert PENDING.verdict.status is None
    assert PENDING.runs == 0


@pytest.mark.parametrize("finding", [GOOD, BAD, UNKNOWN])
def test_one_run_is_the_verdict(finding: Finding) -> None:
    known = runs((0, "a", finding))
    assert (known.verdict.status, known.verdict.reason) == (finding.status, finding.reason)
    assert known.verdict.through == finding.through


def test_a_proof_outlives_a_run_that_told_nothing_and_that_is_said() -> None:
    known = runs((0, "a", GOOD), (10, "", UNKNOWN))
    assert known.verdict.status is True
    assert "The newest run told nothing: No pod was made." in known.verdict.message


def test_but_not_for_ever() -> None:
    assert runs((0, "a", GOOD), (10, "", UNKNOWN), (60, "", UNKNOWN)).verdict.status is None


def test_what_is_wrong_on_one_node_is_not_right_because_another_is() -> None:
    known = runs((0, "a", BAD), (1, "b", GOOD))
    assert known.verdict.status is False
    assert known.verdict.through == BAD.through


def test_it_is_right_again_when_that_node_is() -> None:
    assert runs((0, "a", BAD), (1, "b", GOOD), (2, "a", GOOD)).verdict.status is True


def test_a_node_that_was_deleted_counts_no_more() -> None:
    both, left = Nodes(frozenset("ab")), Nodes(frozenset("b"))
    known = runs((0, "a", BAD), (1, "b", GOOD), nodes=both)
    assert known.verdict.status is False
    known = after(known, Run(GOOD, "b", START + timedelta(minutes=2)), TEN, left)
    assert known.verdict.status is True
    assert (set(known.proofs), set(known.tried)) == ({"b"}, {"b"})


def test_a_node_that_joined_while_the_run_was_made_counts() -> None:
    assert set(runs((0, "new", GOOD), nodes=Nodes(frozenset("a"))).proofs) == {"new"}


def test_many_nodes_that_were_mended_are_seen_soon() -> None:
    """A run takes half a minute."""
    nodes = [f"n{number:02}" for number in range(20)]
    known, now = PENDING, START
    for node in nodes:
        now += timedelta(minutes=1)
        known = after(known, Run(BAD, node, now), TEN)
    mended = now
    while known.verdict.status is False:
        now += timedelta(seconds=30 + pause(known, TEN))
        known = after(known, Run(GOOD, _granted(wishes(known), nodes), now), TEN)
    assert now - mended < timedelta(minutes=13)


def test_a_node_that_is_gone_is_forgotten_in_the_end() -> None:
    known = runs((0, "a", BAD), *((10 * n, "b", GOOD) for n in range(1, 10)))
    assert known.verdict.status is True
    assert set(known.proofs) == {"b"}


def test_a_wrong_node_stays_wrong_while_runs_tell_nothing_but_not_for_ever() -> None:
    assert runs((0, "a", BAD), (10, "", UNKNOWN)).verdict.status is False
    assert runs((0, "a", BAD), (90, "", UNKNOWN)).verdict.status is None


def test_other_nodes_are_counted() -> None:
    assert "on 2 other node(s)" in runs((0, "a", GOOD), (1, "b", GOOD), (2, "c", GOOD)).verdict.message


def test_nodes_that_were_not_seen_are_named() -> None:
    known = runs((0, "a", GOOD), nodes=Nodes(frozenset("abc"), frozenset("c")))
    assert known.verdict.status is True
    assert "Not seen yet, each run looks at one node: b." in known.verdict.message
    assert "no ComputeProfile and no model tolerates their taints: c." in known.verdict.message
    whole = runs((0, "a", GOOD), (10, "b", GOOD), nodes=Nodes(frozenset("ab")))
    assert "seen" not in whole.verdict.message


def test_many_nodes_that_were_not_seen_are_counted() -> None:
    names = frozenset(f"n{number:02}" for number in range(25))
    message = runs((0, "n00", GOOD), nodes=Nodes(names)).verdict.message
    assert "n01, n02" in message
    assert "n20 and 4 more." in message


def test_the_next_run_goes_where_none_was_then_where_it_went_wrong_then_to_the_oldest() -> None:
    assert wishes(PENDING) == ()
    known = runs((0, "a", GOOD), (1, "b", BAD), (2, "c", GOOD))
    assert wishes(known) == (("In", ("b",)), ("NotIn", ("a", "b", "c")), ("In", ("a",))), "b may be mended, too"
    known = runs((0, "a", GOOD), (1, "b", GOOD), (2, "c", BAD))
    assert wishes(known) == (("NotIn", ("a", "b", "c")), ("In", ("c",)), ("In", ("a",)))


def test_a_node_that_tells_nothing_gets_its_turn_and_not_every_run() -> None:
    known = runs((0, "a", GOOD), (10, "arm", UNKNOWN))
    assert enforcement.mute(known) == ("arm",)
    assert wishes(known)[0] == ("In", ("a",)), "what is proved there must not run out meanwhile"
    known = runs((0, "a", GOOD), (10, "arm", UNKNOWN), (20, "a", GOOD))
    assert wishes(known) == (("NotIn", ("arm", "a")), ("In", ()), ("In", ("arm",)))
    known = runs((0, "a", GOOD), (10, "a", UNKNOWN))
    assert (enforcement.mute(known), set(known.proofs)) == (("a",), {"a"})


@pytest.mark.parametrize("bad", [1, 4, 12])
def test_nodes_where_the_canary_cannot_start_do_not_close_what_is_proved_elsewhere(bad: int) -> None:
    """A scheduler that grants the first wish it can: for two days nothing is closed once something was proved."""
    nodes = ["a", "b", *(f"arm{number:02}" for number in range(bad))]
    known, now, proved, visited = PENDING, START, False, set()
    for _ in range(288):
        node = _granted(wishes(known), nodes)
        finding = GOOD if node in ("a", "b") else UNKNOWN
        now += timedelta(seconds=pause(known, TEN))
        known = after(known, Run(finding, node, now), TEN)
        proved = proved or finding is GOOD
        assert known.verdict.status is (True if proved else None)
        visited.add(node)
    assert visited == set(nodes)


def _granted(wishes: tuple[tuple[str, tuple[str, ...]], ...], nodes: list[str]) -> str:
    """The node a scheduler takes; of equal ones the last, which tells nothing."""
    for operator, names in wishes:
        fit = [node for node in nodes if (node in names) == (operator == "In")]
        if fit:
            return fit[-1]
    return nodes[-1]


def test_pauses() -> None:
    assert pause(runs((0, "a", GOOD)), TEN) == 600
    assert pause(runs((0, "a", BAD)), TEN) == 60
    assert pause(runs((0, "a", BAD), (1, "b", GOOD)), TEN) == 5
    assert pause(runs((0, "a", BAD), (1, "b", GOOD), (2, "", UNKNOWN)), TEN) == 60
    assert pause(runs((0, "", UNKNOWN)), timedelta(seconds=30)) == 30


def test_times_and_nodes_are_no_news() -> None:
    one, two = runs((0, "a", GOOD)), runs((0, "b", GOOD), (5, "a", GOOD))
    assert one.says_the_same(two)
    assert not one.says_the_same(runs((0, "a", BAD)))


def test_another_cause_of_not_knowing_is() -> None:
    other = Finding(None, Reason.PROBE_FAILED, "The image cannot be pulled.")
    assert not runs((0, "", UNKNOWN)).says_the_same(runs((0, "", other)))


def test_a_report_has_the_time_of_the_last_probe_however_long_it_is() -> None:
    long = Finding(False, Reason.POLICIES_NOT_ENFORCED, "x" * 5000)
    message = runs((0, "a", long)).report().message
    assert message.endswith("Last probe: 2026-11-21T12:00:00Z.")
    assert len(message) <= enforcement.MESSAGE_CHARACTERS


steps = st.lists(
    st.tuples(st.integers(0, 45), st.sampled_from("abc"), st.sampled_from([GOOD, BAD, UNKNOWN])),
    min_size=1,
    max_size=25,
)


@given(steps)
def test_true_is_never_said_against_the_last_word_of_a_node_or_without_a_fresh_proof(
    walk: list[tuple[int, str, Finding]],
) -> None:
    known, now, last = PENDING, START, {}
    for pause_minutes, node, finding in walk:
        now += timedelta(minutes=pause_minutes)
        known = after(known, Run(finding, "" if finding is UNKNOWN else node, now), TEN)
        if finding is not UNKNOWN:
            last[node] = (finding, now)
        grace = timedelta(minutes=30)
        fresh = {n: f for n, (f, at) in last.items() if now - at <= grace}
        if known.verdict.status is True:
            assert BAD not in fresh.values()
            assert GOOD in fresh.values()
        if finding is BAD:
            assert known.verdict.status is False
        assert (known.verdict.status is False) == bool(known.verdict.through)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, False),
        ({"enforcement": "Reported"}, False),
        ({"enforcement": "Required"}, True),
        ({"namespaces": [{"name": "a", "enforcement": "Required"}]}, True),
        ({"namespaces": [{"name": "b", "enforcement": "Required"}]}, False),
        ({"enforcement": "Required", "namespaces": [{"name": "a", "enforcement": "Reported"}]}, True),
    ],
)
def test_required(spec: dict[str, object], expected: bool) -> None:
    assert required(spec, "a") is expected


@pytest.mark.parametrize("enforced", [True, False, None])
@pytest.mark.parametrize("probed", [True, False])
def test_who_requires_nothing_is_kept_from_nothing(enforced: bool | None, probed: bool) -> None:
    assert gate(Boundary(False, enforced, probed)) is None


def test_what_a_cluster_boundary_says_of_it() -> None:
    said = {"type": "BoundaryEnforced", "status": "False", "reason": "PoliciesNotEnforced", "message": "DNS."}
    declared = {"status": {"conditions": [{"type": "Another", "status": "True"}, said]}}
    assert enforcement.condition(declared) == said
    assert enforcement.sentence(declared) == "BoundaryEnforced False (PoliciesNotEnforced): DNS."
    for nothing in ({}, {"status": None}, {"status": {"gateways": []}}):
        assert enforcement.condition(nothing) == {}
        assert "boundary.canary.enabled" in enforcement.sentence(nothing)


def test_no_enforcement_no_serving() -> None:
    assert gate(Boundary(True, True, True)) is None
    for enforced in (False, None):
        hold = gate(Boundary(True, enforced, True, "DNS got through."))
        assert isinstance(hold, Refused)
        assert hold.reason is Reason.BOUNDARY_NOT_ENFORCED
        assert "DNS got through." in hold.message
        assert "kubectl describe clusterboundary cluster" in hold.message


def test_a_new_leader_knows_nothing_against_what_runs() -> None:
    assert isinstance(gate(Boundary(True, None, False)), NotYet)
    assert enforcement.OFF.runs, "with the canary off there is nothing to wait for"
