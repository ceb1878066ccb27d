"""Whatever stands in a trace or a profile: `slm simulate` gives an outcome, or says which line and field it is not."""

import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from smallmodel_operator.cli.simulate import BadInput, Profile, read_profile
from smallmodel_operator.simulation.trace import COLUMNS, BadTrace, read

PROFILE = {
    "iterationBaseMilliseconds": 40,
    "iterationPerSequenceMilliseconds": 8,
    "prefillTokensPerSecond": 300,
    "prefillSlowdown": "0.6",
    "slots": 8,
    "startSeconds": 12,
    "replicaHourlyPrice": "0.45",
    "minReplicas": 1,
    "maxReplicas": 16,
}
HUGE = 10**400
NUMBERS = st.sampled_from(
    ["NaN", "inf", "-1", "-0", "1e308", "1e400", "9" * 400, "9" * 5000, "1.5", "", " ", "x", "1_0"]
)
CELLS = st.one_of(
    NUMBERS,
    st.integers(-5, 10**8).map(str),
    st.text(string.printable, max_size=12),
    st.datetimes().map(str),
    st.sampled_from(["2023-11-16 18:15:46.6805900", "0001-01-01T00:00:00+23:59", '"', "\x00", "\ufeff"]),
)
LINES = st.lists(CELLS, max_size=5).map(",".join)
VALUES: st.SearchStrategy[Any] = st.one_of(
    NUMBERS,
    st.none(),
    st.booleans(),
    st.integers(-HUGE, HUGE),
    st.floats(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, max_size=6))
def test_a_trace_is_one_or_its_line_is_named(rows: list[str]) -> None:
    lines = [f"{','.join(COLUMNS)}\n", *(f"{row}\n" for row in rows)]
    try:
        found = read(lines, "trace.csv")
    except BadTrace as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert said.startswith("trace.csv")
        assert "line" in said or "has no request" in said
        assert len(said) < 400
        return
    assert found.at[0] == 0
    assert list(found.at) == sorted(found.at)
    assert min(*found.prompt, *found.generated) >= 0


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(PROFILE)), VALUES)
def test_a_profile_is_one_or_its_field_is_named(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: object
) -> None:
    file = tmp_path_factory.getbasetemp() / "profile.yaml"
    file.write_text(yaml.safe_dump({**PROFILE, field: value}))
    try:
        found = read_profile(str(file))
    except BadInput as error:
        said = str(error)
    else:
        assert isinstance(found, Profile)
        return
    assert said.startswith(f"{file}: ")
    assert field in said
    assert len(said) < 400 + len(str(file))


def test_a_number_of_four_hundred_digits_is_too_large(tmp_path: Path) -> None:
    file = tmp_path / "profile.yaml"
    file.write_text(yaml.safe_dump({**PROFILE, "slots": HUGE}))
    with pytest.raises(BadInput, match=r"profile\.yaml: slots is 1000000.*: give a number from 1 to 512\."):
        read_profile(str(file))
