"""Whatever a request is made of, nothing that was found in it is in what is printed of it."""

import base64
import json

from hypothesis import assume, given
from hypothesis import strategies as st

from smallmodel_operator.routing.detect.redact import redacted, without
from smallmodel_operator.routing.detect.scanner import Scanner

SCANNER = Scanner(patterns=[("case", r"CASE-\d{6}")], terms=["Project Falcon"])
MOST = 1 << 20
PLANTED = (
    "DE89 3704 0044 0532 0130 00",
    "DE89370400440532013000",
    "4111-1111-1111-1111",
    "4111 1111 1111 1111",
    "jo.doe@example.com",
    "jürgen@beispiel.example",
    "856-45-6789",
    "CASE-123456",
    "project  falcon",
    "10.1.2.3",
)
SECRETS = ("-----BEGIN PRIVATE KEY-----\nMIIEvQ and more", "AKIAIOSFODNN7EXAMPLE", "password: hunter2hunter2")
words = st.sampled_from(["please", "pay", "the", "bill", "straße", "日本", "(see", "it)", "–", "\n", "[Iban]"])
planted = st.sampled_from(PLANTED)
said = st.lists(st.tuples(words, planted | words, words), min_size=1, max_size=6)


def compact(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()


def body(content: object) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": content}]}).encode()


def printed(content: object) -> str:
    """Of a list of parts, their texts as a model reads them: one behind the other."""
    return "".join(text.text for text in redacted(body(content), SCANNER, MOST) if text.place.endswith(".text"))


@given(said)
def test_what_is_found_is_gone_and_its_kind_is_there(said: list[tuple[str, str, str]]) -> None:
    text = " and ".join(" ".join(three) for three in said)
    left = without(text, SCANNER)
    there = [value for _, value, _ in said if value in PLANTED]
    assert not [value for value in there if compact(value) in compact(left)]
    if there:
        assert "[" in left
    else:
        assert left == text


@given(st.text(max_size=60), planted | words, st.text(max_size=60))
def test_nothing_is_found_in_what_is_left(before: str, value: str, after: str) -> None:
    text = f"{before} {value} {after}"
    left = without(text, SCANNER)
    whole = left.startswith("[") and left.endswith("]")
    assert whole or not SCANNER.scan(left)
    assert SCANNER.scan(text) or left == text


@given(words, st.sampled_from(SECRETS), words)
def test_of_a_text_with_a_secret_nothing_is_left(before: str, secret: str, after: str) -> None:
    left = without(f"{before} {secret} {after}", SCANNER)
    assert left[1:-1] in ("PrivateKey", "AwsKey", "AssignedSecret")


@given(planted, words)
def test_nor_of_one_where_it_is_encoded(value: str, word: str) -> None:
    coded = base64.b64encode(f"the number is {value} now".encode()).decode()
    assume(SCANNER.scan(coded))
    left = without(f"{word} {coded} {word}", SCANNER)
    assert coded not in left
    assert left.startswith("[")


@given(planted, st.data())
def test_what_is_split_over_parts_is_in_none_of_them(value: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(value) - 1))
    parts = [{"type": "text", "text": f"to {value[:at]}"}, {"type": "text", "text": f"{value[at:]} today"}]
    assert compact(value) not in compact(printed(parts))


@given(planted)
def test_a_callers_own_names_are_texts_too(value: str) -> None:
    request = json.dumps({"prompt": "hello", "metadata": {value: "x", "note": value}}).encode()
    out = "".join(text.text for text in redacted(request, SCANNER, MOST))
    assert compact(value) not in compact(out)
