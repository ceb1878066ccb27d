"""Quantities: exact, rounded up, refused with a sentence."""

from decimal import Decimal

import pytest

from smallmodel_operator.core import units


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("500m", Decimal("0.5")), ("2Gi", 2 * 2**30), ("1.5Gi", 3 * 2**29), ("1G", 10**9), ("1e3", 1000),
        ("0", 0), (3, 3), ("100Ki", 102400), ("+1", 1), ("1E", 10**18), ("250u", Decimal("0.00025")),
    ],
)  # fmt: skip
def test_quantity_reads_what_kubernetes_reads(text: str | int, value: Decimal | int) -> None:
    assert units.quantity(text) == value


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1GiB", "1.2.3", "many", "0x10", "1,5", "..", "é"])
def test_quantity_refuses_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a Kubernetes quantity.*512Mi"):
        units.quantity(text)


@pytest.mark.parametrize(("text", "cores"), [("100m", 1), ("1", 1), ("1001m", 2), ("1500m", 2), ("4", 4), ("0", 1)])
def test_cores_are_rounded_up_and_at_least_one(text: str, cores: int) -> None:
    assert units.to_cores(text) == cores


def test_bytes_are_rounded_up() -> None:
    assert units.to_bytes("1.5") == 2
    assert units.to_bytes("1m") == 1


@pytest.mark.parametrize(
    ("value", "text"), [(0, "1Mi"), (1, "1Mi"), (2**20, "1Mi"), (2**20 + 1, "2Mi"), (2**30, "1024Mi")]
)
def test_mebibytes_is_stable_text_rounded_up(value: int, text: str) -> None:
    assert units.mebibytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1 MiB"), (153 * 2**20, "153 MiB"), (2**30, "1.0 GiB"), (5 * 10**9, "4.7 GiB")]
)
def test_human(value: int, text: str) -> None:
    assert units.human(value) == text
