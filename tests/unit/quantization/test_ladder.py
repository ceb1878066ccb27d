from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.quantization.test_memory import facts

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.core.facts import Survey, Variant
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.quantization.decide import fit
from smallmodel_operator.quantization.ladder import Budget, Choice, budget, choose
from smallmodel_operator.quantization.roofline import Pace

GIB = 2**30
LADDER = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")


def variant(kind: str) -> Variant:
    found = facts("3b", kind)
    return Variant.of(found, f"m-{kind}.gguf")


def survey(*kinds: str, left_out: str = "") -> Survey:
    return Survey(facts("3b", kinds[0]), tuple(variant(kind) for kind in kinds), left_out=left_out)


def taken(limit: int | None, *accept: str, held: tuple[str, ...] = LADDER) -> Choice:
    return choose(survey(*held), accept or LADDER, 4096, 1, Budget(limit, "the limit"))


def needed(kind: str) -> int:
    """Bytes the memory verdict asks for once the file serves."""
    found = replace(facts("3b", kind))
    return fit(found, context_size=4096, parallel_slots=1, declared_request=None, limit=None).request_bytes


@pytest.mark.parametrize("kind", LADDER)
def test_the_best_that_fits_is_taken_to_the_byte(kind: str) -> None:
    assert taken(needed(kind)).type == kind
    assert taken(needed(kind)).file == f"m-{kind}.gguf"
    if kind != LADDER[-1]:
        assert taken(needed(kind) - 1).type == LADDER[LADDER.index(kind) + 1]


def test_why_has_the_numbers() -> None:
    why = taken(3 * GIB, "Q8_0", "Q5_K_M", "Q4_K_M").why
    assert why.startswith("Q8_0 needs 4.4 GiB, more than the limit; Q5_K_M needs 2.9 GiB and fits the limit")


def test_the_users_order_counts_and_not_ours() -> None:
    assert taken(100 * GIB, "Q4_K_M", "Q8_0").type == "Q4_K_M"


def test_what_the_source_lacks_is_passed_over_and_said() -> None:
    found = taken(100 * GIB, held=("Q4_K_M", "Q5_K_M"))
    assert found.type == "Q5_K_M"
    assert "Q8_0 is not in the source" in found.why


def test_none_of_the_types_names_both_sides() -> None:
    with pytest.raises(Refused) as caught:
        taken(100 * GIB, "Q8_0", held=("Q4_K_M", "F16"))
    assert (caught.value.reason, caught.value.condition) == (Reason.TYPE_MISSING, Condition.QUANTIZED)
    assert "names Q8_0; the source holds Q4_K_M, F16" in caught.value.message


def test_nothing_fits_says_every_number_and_the_ways_out() -> None:
    with pytest.raises(Refused) as caught:
        taken(GIB, "Q8_0", "Q4_K_M")
    assert (caught.value.reason, caught.value.condition) == (Reason.DOES_NOT_FIT, Condition.QUANTIZED)
    for said in ("Q8_0 needs 4.4 GiB", "Q4_K_M needs", "contextSize", "limits.memory"):
        assert said in caught.value.message
    assert caught.value.recheck_seconds is None
    with pytest.raises(Refused) as caught:
        choose(survey("Q8_0"), ("Q8_0",), 4096, 1, budget(None, None, GIB))
    assert caught.value.recheck_seconds, "a larger node may come"
    assert "the largest node's 1.0 GiB" in caught.value.message


def test_a_file_that_was_left_out_is_said() -> None:
    found = choose(survey("Q8_0", left_out="`x.gguf`: cut short."), ("Q8_0",), 4096, 1, Budget(None))
    assert "`x.gguf`: cut short." in found.why
    assert "no limit is known" in found.why


def test_what_sets_the_budget() -> None:
    assert budget(1, 2, 3).bytes == 1
    assert budget(None, 2, 3).bytes == 2
    assert budget(None, None, 3) == Budget(3, "the largest node's 1 MiB", of_nodes=True)
    assert budget(None, None, None).bytes is None


@settings(max_examples=30, deadline=None)
@given(limit=st.integers(GIB, 10 * GIB), held=st.sets(st.sampled_from(LADDER), min_size=1), data=st.data())
def test_whatever_is_taken_fits_and_nothing_better_does(limit: int, held: set[str], data: st.DataObject) -> None:
    accept = tuple(data.draw(st.permutations(LADDER)))
    fitting = [kind for kind in accept if kind in held and needed(kind) <= limit]
    wish = (survey(*sorted(held)), accept, 4096, 1, Budget(limit, "the limit"))
    if fitting:
        assert choose(*wish).type == fitting[0]
        return
    with pytest.raises(Refused) as caught:
        choose(*wish)
    assert caught.value.reason is Reason.DOES_NOT_FIT


def lacking(*makes: str, held: tuple[str, ...] = ("F16",)) -> Survey:
    made = tuple(replace(variant(kind), file="") for kind in makes)
    return replace(survey(*held), makes=made, parent="m-F16.gguf", digest="d")


def test_what_the_source_lacks_is_made_where_there_is_an_image_for_it() -> None:
    wish = (lacking("Q8_0", "Q5_K_M"), ("Q8_0", "Q5_K_M"), 4096, 1, Budget(3 * GIB, "the limit"))
    found = choose(*wish, "tools")
    assert (found.type, found.file, found.make) == ("Q5_K_M", "", True)
    assert found.why.startswith("Q8_0 needs 4.4 GiB, more than the limit; Q5_K_M needs 2.9 GiB and fits the limit.")
    assert found.why.endswith("It is made from `m-F16.gguf`.")
    with pytest.raises(Refused) as caught:
        choose(*wish)
    assert caught.value.reason is Reason.TYPE_MISSING
    assert "spec.quantizer.image" in caught.value.message


def test_what_is_there_is_not_made() -> None:
    wish = (lacking("Q8_0", held=("F16", "Q4_K_M")), ("Q8_0", "Q4_K_M"), 4096, 1)
    assert not choose(*wish, Budget(3 * GIB, "the limit"), "tools").make
    without = choose(*wish, Budget(None))
    assert (without.type, without.make) == ("Q4_K_M", False)
    assert "no image is named that could make it" in without.why
    assert choose(*wish, Budget(None), "tools").make


def best(kind: str, bandwidth: int = 10 * GIB) -> float:
    """Seconds of a token at best."""
    found = facts("3b", kind)
    return (found.tensor_bytes - facts("3b", LADDER[0]).token_embedding_bytes) / bandwidth


def paced(seconds: float, limit: int | None = None, *accept: str) -> Choice:
    wish = (survey(*LADDER), accept or LADDER, 4096, 1, Budget(limit, "the limit"))
    return choose(*wish, pace=Pace(seconds, 10 * GIB))


@pytest.mark.parametrize("kind", LADDER)
def test_a_type_that_memory_cannot_give_fast_enough_is_passed_over(kind: str) -> None:
    found = paced(best(kind) * 1.001)
    assert found.type == kind
    passed = LADDER[: LADDER.index(kind)]
    assert [f"{better} takes {1000 * best(better):.0f} ms for a token at best" in found.why for better in passed] == [
        True for _ in passed
    ]


def test_where_none_is_fast_enough_the_fastest_that_fits_serves_and_says_so() -> None:
    assert paced(1e-3).type == "Q4_K_M"
    found = paced(1e-3, None, "Q6_K", "Q8_0")
    assert found.type == "Q6_K"
    assert "none that fits is fast enough, so the fastest of them serves" in found.why
    with pytest.raises(Refused):
        paced(1e-3, GIB // 2)


def test_of_experts_nothing_is_known() -> None:
    held = survey(*LADDER)
    experts = replace(held, facts=replace(held.facts, experts=8))
    assert choose(experts, LADDER, 4096, 1, Budget(None), pace=Pace(1e-3, 10 * GIB)).type == "F16"


@settings(max_examples=30, deadline=None)
@given(loose=st.floats(0.01, 1), times=st.floats(0.1, 1))
def test_a_tighter_pace_never_takes_a_slower_type(loose: float, times: float) -> None:
    assert best(paced(loose * times).type) <= best(paced(loose).type)
