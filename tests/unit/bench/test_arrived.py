"""A count of what got outside that finds everything: a request as a whole, a piece of one, a text in two parts."""

import json
from typing import Final

import pytest
from hack.bench.routing.arrived import judged
from hack.bench.routing.planted import Planted

NAMES: Final = (b'"support"', b'"vendor/big"')
IBAN: Final = "DE89370400440532013000"


def body(*parts: str) -> bytes:
    content = [{"type": "text", "text": part} for part in parts]
    return json.dumps({"model": "support", "messages": [{"role": "user", "content": content}]}).encode()


CLEAN: Final = Planted(body("Say hello"), "", "as it is", 0)
OTHER: Final = Planted(body("Say nothing"), "", "as it is", 0)
SECRET: Final = Planted(body(f"Pay {IBAN} now"), "Iban", "as it is", 0, IBAN, IBAN)
ENCODED: Final = Planted(body("Pay 4445"), "Iban", "hex", 0, IBAN, "44453839333730343030")
SENT: Final = (CLEAN, OTHER, SECRET, ENCODED)


def outside(one: Planted) -> bytes:
    return one.body.replace(*NAMES, 1)


def test_clean_ones_are_counted_and_nothing_else() -> None:
    found = judged(SENT, [outside(CLEAN)], NAMES)
    assert (found.clean, found.twice, found.foreign, found.foreign_bytes, found.planted) == (1, 0, 0, 0, {})


def test_one_that_comes_again_is_seen() -> None:
    found = judged(SENT, [outside(CLEAN), outside(CLEAN), outside(OTHER)], NAMES)
    assert (found.clean, found.twice) == (2, 1)
    both = judged((CLEAN, CLEAN), [outside(CLEAN), outside(CLEAN)], NAMES)
    assert (both.clean, both.twice) == (2, 0)


def test_a_byte_more_or_the_name_inside_makes_it_another_body() -> None:
    for changed in (outside(CLEAN) + b" ", CLEAN.body, outside(CLEAN)[:-1]):
        found = judged(SENT, [changed], NAMES)
        assert (found.clean, found.foreign, found.foreign_bytes) == (0, 1, len(changed))


@pytest.mark.parametrize(
    "got",
    [
        outside(SECRET),
        outside(SECRET)[: outside(SECRET).index(b" now")],
        body(IBAN[:7], IBAN[7:]),
        json.dumps({"x": "".join(f"\\u{ord(c):04x}" for c in IBAN)}).replace("\\\\", "\\").encode(),
        b"GET /" + IBAN.encode(),
    ],
)
def test_a_planted_text_is_found_wherever_it_is(got: bytes) -> None:
    found = judged(SENT, [outside(CLEAN), got], NAMES)
    assert found.planted["Iban"] >= len(IBAN)
    assert (found.clean, found.foreign) == (1, 1)


def test_the_encoded_text_counts_too() -> None:
    assert judged(SENT, [b"44453839333730343030"], NAMES).planted == {"Iban": 20}
