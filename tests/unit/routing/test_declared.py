"""A route's boundary as values, and which labels a request has."""

from typing import Any

import pytest

from smallmodel_operator.routing.declared import MOST_SAID, boundary, labels
from smallmodel_operator.routing.policy import Boundary, External, Trusted

ALL: dict[str, Any] = {
    "external": "WhenClean",
    "detectors": ["Pii"],
    "labels": ["internal"],
    "patterns": [{"name": "case", "regex": "K-[0-9]+"}],
    "denyTerms": ["Project Heron"],
    "trusted": [
        {"name": "here", "namespace": "support", "labels": ["public"]},
        {"name": "bot", "serviceAccount": {"namespace": "crm", "name": "bot"}, "mayLabel": ["public", "draft"]},
        {"name": "key", "apiKey": "partner", "labels": ["public"], "mayLabel": ["draft"]},
    ],
}
GIVEN = boundary("support", "desk", {"boundary": ALL})


def test_it_is_read() -> None:
    assert (
        Boundary(
            External.WHEN_CLEAN,
            ("Pii",),
            ("internal",),
            (("case", "K-[0-9]+"),),
            ("Project Heron",),
            (
                Trusted("ns:support", ("public",)),
                Trusted("sa:crm/bot", (), ("public", "draft")),
                Trusted("key:support/desk/partner", ("public",), ("draft",)),
            ),
        )
        == GIVEN
    )


@pytest.mark.parametrize("spec", [{}, {"boundary": None}, {"boundary": {}}])
def test_without_one_nothing_leaves_and_all_is_looked_for(spec: dict[str, Any]) -> None:
    assert boundary("support", "desk", spec) == Boundary(External.DENIED, ("Pii", "Pci", "Secrets"))


@pytest.mark.parametrize(
    ("caller", "said", "counts"),
    [
        ("sa:support/app", [], {"public"}),
        ("key:support/desk", [], {"public"}),
        ("key:support/other-model", [""], {"public"}),
        ("sa:crm/bot", [], set()),
        ("sa:crm/bot", ["public"], {"public"}),
        ("sa:crm/bot", ["public, draft"], {"public", "draft"}),
        ("sa:crm/bot", ["public", "draft"], {"public", "draft"}),
        ("sa:crm/bot", ["public,secret"], set()),
        ("sa:crm/bot", ["Public"], set()),
        ("sa:crm/other", ["public"], set()),
        ("key:support/desk/partner", [], {"public"}),
        ("key:support/desk/partner", ["draft"], {"public", "draft"}),
        ("key:support/desk/partner", ["public"], {"public"}),
        ("key:support/desk/partner", ["internal"], set()),
        # Keys that somebody brought open one model; they are no namespace's.
        ("key:support/desk/other", [], set()),
        ("key:support/other/partner", [], set()),
        ("sa:support/app", ["draft"], set()),
        ("sa:support/app", ["x" * (MOST_SAID + 1)], set()),
        ("sa:support/app", ["," * (MOST_SAID + 1)], set()),
        ("sa:other/support", [], set()),
        ("", [], set()),
        ("ns:support", [], {"public"}),
        ("sa:support/", [], set()),
        ("sa:support", [], set()),
        ("user:support/app", [], set()),
    ],
)
def test_only_what_a_trusted_caller_may_say_counts(caller: str, said: list[str], counts: set[str]) -> None:
    assert labels(GIVEN, caller, said) == counts


def test_entries_of_one_caller_count_together() -> None:
    two = [
        {"name": "all", "namespace": "crm", "labels": ["public"]},
        {"name": "bot", "serviceAccount": {"namespace": "crm", "name": "bot"}, "labels": ["reviewed"]},
    ]
    given = boundary("support", "desk", {"boundary": {"trusted": two}})
    assert labels(given, "sa:crm/bot", []) == {"public", "reviewed"}
    assert labels(given, "sa:crm/app", []) == {"public"}
