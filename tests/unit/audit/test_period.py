"""Spans of time as people write them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.audit.period import Period


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-Q1", "2026-01-01", "2026-04-01"),
        ("2026-Q4", "2026-10-01", "2027-01-01"),
        ("2026-02", "2026-02-01", "2026-03-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2024-02-29", "2024-02-29", "2024-03-01"),
        ("2026-12-31", "2026-12-31", "2027-01-01"),
        ("2026-11-01..2026-11-15", "2026-11-01", "2026-11-16"),
        ("2026-Q2..2026-08", "2026-04-01", "2026-09-01"),
    ],
)
def test_what_it_says(text: str, since: str, until: str) -> None:
    assert Period.of(text) == Period(since, until)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026", "2026"),
        ("2025..2026", "January 2025 to December 2026"),
        ("2026-Q4", "October to December 2026"),
        ("2026-11", "November 2026"),
        ("2026-11..2027-01", "November 2026 to January 2027"),
        ("2026-11-21", "21 November 2026"),
        ("2026-11-01..2026-11-15", "1 to 15 November 2026"),
        ("2026-10-28..2026-11-03", "28 October to 3 November 2026"),
        ("2026-12-28..2027-01-03", "28 December 2026 to 3 January 2027"),
        ("2026-01-05..2026-02-05", "5 January to 5 February 2026"),
        ("2024-02-29", "29 February 2024"),
    ],
)
def test_what_people_call_it(text: str, words: str) -> None:
    assert Period.of(text).words() == words


@pytest.mark.parametrize(
    "text",
    ["", "..", "2026..", "november", "2026-13", "2026-00", "2026-02-30", "2026-Q5", "0000", "9999", "2026-1",
     "2026-11..2026-10", "٢٠٢٦", "2026-11-21T10", " 2026"],
)  # fmt: skip
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"2026-Q4|calendar|before it begins"):
        Period.of(text)


@given(st.dates(min_value=date(1, 1, 1), max_value=date(9998, 12, 30)))
def test_a_day_is_in_its_day_month_and_year_only(day: date) -> None:
    text = day.isoformat()
    for form in (text, text[:7], text[:4], f"{text[:4]}-Q{(day.month + 2) // 3}"):
        period = Period.of(form)
        assert f"{text}T23:59:59.999999Z" in period
        assert f"{text}T00:00:00.000000Z" in period
        assert period.until not in period


@given(st.text(max_size=30))
def test_no_text_breaks_it(text: str) -> None:
    try:
        period = Period.of(text)
    except ValueError:
        return
    assert period.since < period.until
