from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.cli.test_make_weights import MEASURED, OF_PARENT

from smallmodel_operator.api.v1alpha1.quantization import QuantizationType
from smallmodel_operator.quantization.gate import (
    DEFAULTS,
    PIECE,
    SHARED_PERCENT,
    Figures,
    as_text,
    failures,
    from_text,
    limits,
    parse,
    shared_percent,
)

GOOD = Figures(Decimal("0.004345"), Decimal("0.106789"), Decimal("94.765"), Decimal("1.017472"))


def test_the_tools_own_words_are_read() -> None:
    assert parse(OF_PARENT, MEASURED) == GOOD
    assert parse(OF_PARENT, MEASURED.replace("0.004345", "-0.000019")) is not None, "rounding can make it negative"


@pytest.mark.parametrize("line", ["Mean    KLD", "99.9%   KLD", "Same top p", "Mean PPL(Q) "])
def test_a_missing_figure_is_no_result(line: str) -> None:
    assert parse(OF_PARENT, "\n".join(text for text in MEASURED.splitlines() if not text.startswith(line))) is None


@pytest.mark.parametrize("text", ["", "nan", MEASURED.replace("0.004345", "nan"), MEASURED.replace("10.17472", "inf")])
def test_what_is_no_number_is_no_result(text: str) -> None:
    assert parse(OF_PARENT, text) is None


@pytest.mark.parametrize("text", ["", "Final estimate: PPL = nan +/- nan", "Final estimate: PPL = 0.0000 +/- 0.00000"])
def test_a_parent_without_a_perplexity_is_no_result(text: str) -> None:
    assert parse(text, MEASURED) is None


def test_the_perplexity_of_logits_that_were_cut_off_is_not_the_parents() -> None:
    """As measured with the demo's model as Q8_0 on text it does not know: the tool's own ratio is 44.88."""
    made = MEASURED.replace("10.17472", "60902.319027").replace("1.017472", "44.881279")
    found = parse("Final estimate: PPL = 61001.0698 +/- 10595.87342", made)
    assert found is not None
    assert found.perplexity_ratio == Decimal("0.998381")


@pytest.mark.parametrize(
    ("figure", "worse"),
    [
        ("mean_divergence", "0.0051"),
        ("tail_divergence", "0.1251"),
        ("same_top_percent", "89.9"),
        ("perplexity_ratio", "1.031"),
    ],
)
def test_each_figure_is_held_and_the_limit_itself_passes(figure: str, worse: str) -> None:
    allowed = DEFAULTS["Q8_0"]
    assert failures(GOOD, allowed) == []
    assert failures(Figures(*vars_of(allowed)), allowed) == []
    (said,) = failures(Figures(**{**dict(zip(NAMES, vars_of(GOOD), strict=True)), figure: Decimal(worse)}), allowed)
    assert worse in said


NAMES = ("mean_divergence", "tail_divergence", "same_top_percent", "perplexity_ratio")


def vars_of(value: object) -> list[Decimal]:
    return [getattr(value, name) for name in NAMES]


def test_every_type_has_limits_and_the_users_count_first() -> None:
    assert set(DEFAULTS) == set(QuantizationType.__args__)  # type: ignore[attr-defined]
    mine = limits("Q4_K_M", {"mean_divergence": "1.5"})
    assert (mine.mean_divergence, mine.same_top_percent) == (Decimal("1.5"), Decimal("90"))


def test_figures_survive_a_provenance_file() -> None:
    assert from_text(as_text(GOOD)) == GOOD
    for bad in (None, [], {}, {**as_text(GOOD), "same_top_percent": "many"}):
        assert from_text(bad) is None


def told(*numbers: int) -> str:
    """Sentences that are none of another number's."""
    ships = (f"In the year {n} the {n * 7919}th ship of line {n * 31} came home with {n * 17} men." for n in numbers)
    return " ".join(ships)


def test_a_text_that_quotes_the_other_is_seen_however_it_is_set() -> None:
    mine, other = told(*range(1, 200)), told(*range(1000, 1200))
    assert shared_percent(mine, mine) == 100
    assert shared_percent(mine, f"{other}\n{mine.upper()}") == 100
    assert shared_percent(mine, mine.replace(" ", "\n").replace(".", " !")) == 100
    assert shared_percent(mine, other) == 0
    assert SHARED_PERCENT < shared_percent(mine, f"{other} {told(*range(1, 100))}") < 60


words = st.text(st.characters(codec="utf-8"), max_size=400)


@given(words, words, words)
def test_what_is_in_the_other_text_counts_and_the_order_of_arguments_too(mine: str, before: str, after: str) -> None:
    assert 0 <= shared_percent(mine, before) <= 100
    letters = sum(c.isalnum() for c in mine.casefold())
    if letters >= PIECE:
        assert shared_percent(mine, before + mine + after) == 100
    assert shared_percent(mine, "") == 0
