"""Traces as Azure publishes them, and what is wrong with others."""

import pytest

from smallmodel_operator.simulation.trace import BadTrace, read

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
AZURE = HEADER + "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def test_azures_seven_decimals_count() -> None:
    trace = read(lines(AZURE), "conv.csv")
    assert trace.at[0] == 0
    assert trace.at[1] == pytest.approx(4.314579, abs=1e-5)
    assert (list(trace.prompt), list(trace.generated)) == ([374, 396], [44, 109])


@pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"])
def test_what_stands_after_the_last_row_does_not_matter(end: str) -> None:
    assert len(read(lines(AZURE + end), "x").at) == 2


def test_columns_are_found_by_name_and_seconds_are_a_time() -> None:
    trace = read(lines("\ufeffGeneratedTokens,more,TIMESTAMP,ContextTokens\n7,x,10,5\n8,x,12.5,6\n"), "x")
    assert (list(trace.at), list(trace.prompt), list(trace.generated)) == ([0, 2.5], [5, 6], [7, 8])


@pytest.mark.parametrize("time", ["2023-11-16T18:15:46.68Z", "2023-11-16T18:15:46+02:00", "1700158546.5", "0"])
def test_other_ways_to_write_a_time(time: str) -> None:
    assert len(read(lines(f"{HEADER}{time},1,1\n"), "x").at) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: no column TIMESTAMP, ContextTokens, GeneratedTokens"),
        ("TIMESTAMP,ContextTokens\n1,2\n", "line 1: no column GeneratedTokens"),
        (HEADER, "has no request"),
        (
            AZURE + "2053-11-16 18:15:47,1,1\n",
            "2053-11-16 18:15:47 is 10958.0 days after the first: at most 366",
        ),
        (AZURE + "2023-11-16 18:15:47,1,1\n", "line 4: 2023-11-16 18:15:47 is before the row above"),
        (AZURE + "\n2023-11-16 18:16:47,1,1\n", "line 4: it is empty"),
        (AZURE + "2023-11-16 18:16:47,1\n", "line 4: 2 fields where 3 are needed"),
        (AZURE + "2023-11-16 18:16:47,many,1\n", "line 4: ContextTokens is 'many'"),
        (AZURE + "2023-11-16 18:16:47,1,1.5\n", "line 4: GeneratedTokens is '1.5'"),
        (AZURE + "2023-11-16 18:16:47,1,-1\n", "line 4: GeneratedTokens is -1"),
        (AZURE + "yesterday,1,1\n", "line 4: TIMESTAMP is 'yesterday'"),
        (AZURE + "nan,1,1\n", "line 4: TIMESTAMP is 'nan'"),
        (AZURE + ",1,1\n", "line 4: TIMESTAMP is ''"),
        (AZURE + "2023-11-16 18:15:46.x,1,1\n", "line 4: TIMESTAMP"),
        (AZURE + "a\x00b,1,1\n", "line 4"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, told: str) -> None:
    with pytest.raises(BadTrace) as error:
        read(lines(text), "x.csv")
    assert "x.csv" in str(error.value)
    assert told in str(error.value)
