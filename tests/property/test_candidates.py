"""Where a pattern's matches may begin says RE2, what they are Python's `re`: the same as `re` alone finds, sooner."""

import re
from collections.abc import Iterator

from hypothesis import example, given
from hypothesis import strategies as st
from stdnum.it import codicefiscale

from smallmodel_operator.routing.detect import scanner
from smallmodel_operator.routing.detect.patterns import PATTERNS
from smallmodel_operator.routing.detect.scanner import Scanner, _close, _matches

CLOSE = [(one.pattern, found) for one in PATTERNS if (found := _close(one)) is not None]
PIECES = st.sampled_from(
    ["DE89 3704 0044 0532 0130 00", "RSSMRA85T10A562S", "+49 30 901820", "(030) 90 18 20", "10.0.0.1", "fe80::1", "::",
     "0a:1b:2c:3d:4e:5f", "12345678Z", "X1234567L", "131052-308T", "1234567FA", "AB 12 34 56 C", "DE 136695976",
     "password: ", "passwort=", "пароль: ", "contraseña ",
     "token ", "Bearer ", "abcdefgh12345678", "AKIAIOSFODNN7EXAMPLE",
     "dog jumps ", "ä", "ß", "\u212a", "\u017f", "中文", "\n", " ", "-", "_", ".", "|", "0", "7", "a", "Z"]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=24).map("".join)


def alone(close: "re.Pattern[str]", text: str) -> Iterator[tuple[int, int]]:
    """What Python's finds, from the next place on after each."""
    at = 0
    while match := close.search(text, at):
        yield match.span()
        at = match.start() + 1


@given(TEXTS)
@example("äöü DE89 3704 0044 0532 0130 00 中 RSSMRA85T10A562S ß")
@example("x" * (scanner._WINDOW - 5) + " DE89370400440532013000 " + "y" * scanner._WINDOW + " 12345678Z")
@example("ä" * (scanner._WINDOW + 1) + "X1234567L")
def test_the_same_matches(text: str) -> None:
    for pattern, close in CLOSE:
        assert [match.span() for match in _matches(pattern, close, text)] == list(alone(close, text)), pattern


LETTERS, OMOCODIA = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "LMNPQRSTUV"
ITALIAN = Scanner(("Pii",))


@given(
    st.text(LETTERS, min_size=6, max_size=6), st.integers(40, 99), st.sampled_from("ABCDEHLMPRST"), st.integers(1, 28),
    st.sampled_from(LETTERS), st.integers(0, 999), st.sets(st.sampled_from([6, 7, 9, 10, 12, 13, 14])), st.booleans(),
)  # fmt: skip
def test_each_codice_fiscale_is_found(
    names: str, year: int, month: str, day: int, place: str, number: int, letters: set[int], lower: bool
) -> None:
    """With letters in the place of digits, too; written in parts or in small letters."""
    plain = f"{names}{year:02}{month}{day:02}{place}{number:03}"
    made = "".join(OMOCODIA[int(c)] if at in letters and c.isdigit() else c for at, c in enumerate(plain))
    whole = made + codicefiscale.calc_check_digit(made)
    if not codicefiscale.is_valid(whole):
        return
    text = f"il codice {whole.lower() if lower else f'{whole[:3]} {whole[3:6]} {whole[6:11]} {whole[11:]}'} e poi"
    assert "ItCodiceFiscale" in {found.kind for found in ITALIAN.scan(text)}
