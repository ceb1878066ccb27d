"""The pattern of everything that is not on a list, as Envoy reads it."""

import re2
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.gateway.egress.headers import LEAVE, RETURN, others

names = st.text("abc-:", max_size=5)


@given(st.frozensets(names, max_size=8), names)
def test_it_matches_all_texts_but_those(kept: frozenset[str], name: str) -> None:
    pattern = re2.compile(others(kept))
    assert all(pattern.fullmatch(text) is None for text in kept)
    assert bool(pattern.fullmatch(name)) is (name not in kept)


@given(st.sampled_from(sorted(LEAVE | RETURN)), st.text(max_size=3), st.text(max_size=3))
def test_what_only_resembles_a_name_is_another(name: str, before: str, after: str) -> None:
    for kept in (LEAVE, RETURN):
        text = before + name + after
        assert bool(re2.compile(others(kept)).fullmatch(text)) is (text not in kept)


def test_nothing_that_could_tell_of_a_caller_leaves() -> None:
    pattern = re2.compile(others(LEAVE))
    for name in ("authorization", "cookie", "x-request-id", "x-slm-pass", "user-agent", "accept", "traceparent", "te"):
        assert pattern.fullmatch(name), name
