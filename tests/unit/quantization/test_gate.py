from decimal import Decimal

import pytest
from tests.unit.cli.test_make_weights import MEASURED, OF_PARENT

from smallmodel_operator.api.v1alpha1.quantization import QuantizationType
from smallmodel_operator.quantization.gate import DEFAULTS, Figures, as_text, failures, from_text, limits, parse

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
