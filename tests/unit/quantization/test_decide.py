from dataclasses import replace
from typing import Any

import pytest
from tests.unit.quantization.test_memory import facts

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.units import human
from smallmodel_operator.quantization.decide import ROUND_TO, fit

GIB = 2**30


def verdict(size: str = "8b", **changes: Any) -> Any:
    options = {"context_size": 4096, "parallel_slots": 2, "declared_request": None, "limit": None, **changes}
    return fit(facts(size, "Q4_K_M") if size else None, **options)


def verdict_of(size: str, types: str) -> Any:
    return fit(facts(size, types), context_size=1024, parallel_slots=1, declared_request=None, limit=None)


def test_without_a_limit_the_estimate_is_requested_with_headroom() -> None:
    found = verdict_of("1b", "F16")
    assert found.estimated_bytes < found.request_bytes < found.estimated_bytes * 1.07
    assert found.request_bytes % ROUND_TO == 0
    (report,) = found.part.reports
    assert (report.condition, report.status, report.reason) == (Condition.FITS_MEMORY, True, Reason.FITS)


def test_what_does_not_fit_is_refused_with_numbers_and_ways_out() -> None:
    with pytest.raises(Refused) as caught:
        verdict(limit=4 * GIB)
    refused = caught.value
    assert refused.reason is Reason.DOES_NOT_FIT
    assert refused.condition is Condition.FITS_MEMORY
    for said in (
        "6.2 GiB",
        "weights 4.6 GiB",
        "limit is 4.0 GiB",
        "smaller quantization",
        "contextSize",
        "limits.memory",
    ):
        assert said in refused.message


def test_the_limit_itself_still_fits() -> None:
    needed = verdict().request_bytes
    assert verdict(limit=needed).request_bytes == needed
    with pytest.raises(Refused):
        verdict(limit=needed - 1)


def test_the_ways_out_work() -> None:
    assert verdict(limit=6 * GIB, parallel_slots=1, context_size=2048).request_bytes <= 6 * GIB
    assert verdict("3b", limit=4 * GIB).request_bytes <= 4 * GIB


def test_what_no_node_can_hold_is_refused_with_both_sizes_and_looked_at_again() -> None:
    needed = verdict().request_bytes
    assert verdict(largest_node=needed).request_bytes == needed
    with pytest.raises(Refused) as caught:
        verdict(largest_node=needed - 1)
    refused = caught.value
    assert (refused.reason, refused.condition) == (Reason.DOES_NOT_FIT, Condition.FITS_MEMORY)
    assert refused.recheck_seconds is not None, "a node may come without the model changing"
    for said in ("No node", f"{needed // 2**20:,} MiB", f"{(needed - 1) // 2**20:,} MiB allocatable", "larger node"):
        assert said in refused.message


def test_a_limit_or_a_declared_request_says_that_there_are_nodes_for_it() -> None:
    assert verdict(largest_node=GIB, limit=8 * GIB).request_bytes > GIB
    assert verdict(largest_node=GIB, declared_request=3 * GIB).request_bytes == 3 * GIB


def test_what_was_copied_at_load_is_said_and_not_requested() -> None:
    found = verdict("1b", parallel_slots=1)
    copied = facts("1b", "Q4_K_M").repacked_bytes
    assert copied > 400 * 2**20
    assert found.estimated_bytes > found.request_bytes, "the peak is more than what must stay"
    assert f"{human(copied)} more stay" in found.part.reports[0].message
    assert "more stay" not in verdict_of("1b", "Q8_0").part.reports[0].message


def test_what_copies_for_amx_take_more_is_requested_wherever_the_header_was_read() -> None:
    found = verdict_of("1b", "Q8_0")
    grown = facts("1b", "Q8_0").copy_growth_bytes
    assert grown == pytest.approx(facts("1b", "Q8_0").tensor_bytes * 4 / 34, rel=0.01)
    assert found.request_bytes > (found.estimated_bytes + grown) * 1.04
    assert f"growth of copies for AMX {human(grown)}" in found.part.reports[0].message


def test_a_declared_request_counts_and_needs_no_facts() -> None:
    found = verdict("", declared_request=3 * GIB)
    assert (found.request_bytes, found.estimated_bytes) == (3 * GIB, 0)
    assert found.part.reports[0].reason is Reason.DECLARED


def test_a_declared_request_is_shown_beside_the_estimate() -> None:
    found = verdict(declared_request=3 * GIB, limit=4 * GIB)
    assert found.request_bytes == 3 * GIB
    assert "3.0 GiB requested" in found.part.reports[0].message
    assert "The estimate is 5.9 GiB" in found.part.reports[0].message


def test_a_few_bytes_more_make_the_same_request() -> None:
    one, other = facts(), replace(facts(), tensor_bytes=facts().tensor_bytes + 7)
    options: dict[str, Any] = {"context_size": 512, "parallel_slots": 1, "declared_request": None, "limit": None}
    assert fit(one, **options).request_bytes == fit(other, **options).request_bytes


def test_a_declared_request_above_the_limit_is_refused_before_the_api_server_does() -> None:
    with pytest.raises(Refused) as caught:
        verdict(declared_request=5 * GIB, limit=4 * GIB)
    assert "5.0 GiB" in caught.value.message
    assert "4.0 GiB" in caught.value.message


def test_adapters_are_counted_and_named() -> None:
    without, beside = verdict("3b"), verdict("3b", adapters=GIB)
    assert beside.request_bytes - without.request_bytes == pytest.approx(GIB * 1.05, abs=ROUND_TO)
    assert beside.estimated_bytes - without.estimated_bytes == GIB
    assert "adapters 1.0 GiB" in beside.part.reports[0].message
    assert "adapters" not in without.part.reports[0].message
    with pytest.raises(Refused, match=r"adapters 1\.0 GiB"):
        verdict("3b", adapters=GIB, limit=without.request_bytes)
