"""May it leave? Sensitive things in any place and form keep a request inside; so does whatever is not understood."""

import base64
import bz2
import gzip
import json
import lzma
import random
import zlib
from functools import cache
from typing import Any

import pytest
from hack.bench.routing.planted import ENCODINGS, requests
from hack.bench.routing.values import INVALID, PLAIN, VALID
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.routing.detect import decide as module
from smallmodel_operator.routing.detect.decide import Compiled, Decision, Policy, Verdict, compiled, decide
from smallmodel_operator.routing.detect.scanner import BadPattern, Scanner

CARD = "4111 1111 1111 1111"


@cache
def rules(**more: Any) -> Compiled:
    return compiled(Policy(**more))


def body(content: Any, **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], **more}).encode()


def said(content: Any, **more: Any) -> Decision:
    return decide(body(content, **more), rules(), ["public"])


def kinds(decision: Decision) -> set[str]:
    return {r.kind for r in decision.reasons}


def words(decision: Decision) -> set[str]:
    return {r.reason for r in decision.reasons}


@pytest.mark.parametrize("kind", VALID)
def test_each_kind_is_found(kind: str) -> None:
    lots = random.Random(kind)
    for _ in range(20):
        value = VALID[kind](lots)
        decision = said(f"Please look at {value} today.")
        assert kind in kinds(decision) or decision.verdict == Verdict.INSIDE, value


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_each_encoding_is_opened(encoding: str) -> None:
    assert "Iban" in kinds(said(ENCODINGS[encoding]("It is DE89 3704 0044 0532 0130 00 indeed"))), encoding


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_things_may_leave(kind: str) -> None:
    lots = random.Random(kind)
    decisions = [said(f"What about {PLAIN[kind](lots)}, please?") for _ in range(20)]
    assert [d for d in decisions if d.verdict != Verdict.MAY_LEAVE] == []


@pytest.mark.parametrize("kind", INVALID)
def test_a_checksum_that_does_not_hold_is_none(kind: str) -> None:
    lots = random.Random(kind)
    decisions = [said(f"Please look at {INVALID[kind](lots)} today.") for _ in range(20)]
    assert [d for d in decisions if kind in kinds(d)] == []


@pytest.mark.parametrize(
    "text",
    [
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "4111-1111-1111-1111", "4111.1111.1111.1111", "41 11 11 11 11 11 11 11",
        "4111\n1111\n1111\n1111", "4111/1111/1111/1111", "12 4111111111111111 12/28 123", "card:4111111111111111.",
        "４１１１ １１１１ １１１１ １１１１", "٤١١١ ١١١١ ١١١١ ١١١١", "4111\u200b1111\u00ad1111\ufeff1111", "4lll llll 1111 1111",
        "4111–1111–1111–1111", "4111\u00a01111\u20091111\u202f1111", "①", "x=4111111111111111&y=1",
    ],
)  # fmt: skip
def test_a_card_in_any_dress(text: str) -> None:
    found = "CreditCard" in kinds(said(text))
    assert found is (text != "①")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("D E 8 9 3 7 0 4 0 0 4 4 0 5 3 2 0 1 3 0 0 0", "Iban"), ("DE89370400**4405**32013000", "Iban"),
        ('x = "DE8937040044" +\n    "0532013000"', "Iban"), ("pay \\ud835\\udfd2111111111111111", "CreditCard"),
        ("write to jane.doe@example.com", "EmailAddress"), ("jane [at] example [dot] com", "EmailAddress"),
        ("jane at example dot com", "EmailAddress"), ("ｊａｎｅ＠example.com", "EmailAddress"),
        ("+49 (0)171 1234567", "PhoneNumber"), ("0171-1234567", "PhoneNumber"), ("06 12 34 56 78", "PhoneNumber"),
        ("(415) 555-2671", "PhoneNumber"), ("415-555-2671", "PhoneNumber"), ("call me at 4155552671", "PhoneNumber"),
        ("0044 20 7946 0958", "PhoneNumber"), ("ssn 078051121", "UsSsn"), ("123-45-6789", "UsSsn"),
        ("943 476 5919", "UkNhs"), ("756.9217.0769.85", "ChAhv"), ("7569217076985", "ChAhv"), ("15108695088", "NoFodselsnummer"),
        ("161175-19997", "LvPersonasKods"), ("8001015009087", "ZaId"), ("900101-1234568", "KrRrn"), ("RRN 9001011234568", "KrRrn"),
        ("390.533.447-05", "BrCpf"), ("CPF: 39053344705", "BrCpf"), ("20-05536168-2", "ArCuit"), ("CUIL 20055361682", "ArCuit"),
        ("СНИЛС 112-233-445 95", "RuSnils"), ("снилс 11223344595", "RuSnils"), ("ИНН 500100732259", "RuInn"), ("инн: 500100732259", "RuInn"),
        ("T.C. Kimlik No: 10000000146", "TrKimlik"), ("aadhaar 234123412346", "InAadhaar"), ("2341 2341 2346", "InAadhaar"),
        ("1-1018-00181-72-5", "ThPin"), ("thai id 1101800181725", "ThPin"), ("my SIN is 130692544", "CaSin"), ("SIN 130 692 544", "CaSin"),
        ("tax file number 123 456 782", "AuTfn"), ("teudat zehut 039337423", "IlId"), ('ת"ז 039337423', "IlId"), ("บัตรประชาชน 1101800181725", "ThPin"), ("aadhaar 23 41 23 41 23 46", "InAadhaar"), ("マイナンバー 123456789018", "JpMyNumber"), ("AB 12 34 56 C", "UkNino"), ("X1234567L", "EsNie"), ("131052-308T", "FiHetu"),
        ("1234567T", "IePps"), ("2001:db8::ff00:42:8329", "IpAddress"), ("192.168.17.4", "IpAddress"), ("127.243.9.17", "IpAddress"),
        ("password: Tr0ub4dor&3x", "AssignedSecret"), ("postgres://app:s3cret99@db/x", "PasswordInUrl"),
        ("Authorization: Bearer abcdef0123456789abcdef", "BearerToken"), ("DE136695976", "EuVat"), ("DE136695976 The delivery", "EuVat"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "PrivateKey"), ("to DE12 and DE89370400440532013000 is", "Iban"),
    ],
)  # fmt: skip
def test_forms_of_kinds(text: str, kind: str) -> None:
    assert kind in kinds(said(text))


@pytest.mark.parametrize(
    "text",
    ["2023 2024 2025", "2023-2024-2025", "2030 2029 2028", "sin coste, llame al 610692544", "the sin of 130692544"],
)
def test_forms_that_only_look_like_a_kind(text: str) -> None:
    assert not {"InAadhaar", "CaSin"} & kinds(said(text))


def token(head: str, size: int, alphabet: str = "aB3dE5gH7jK9") -> str:
    """Made here, so that no file has anything that is taken for one."""
    return head + "".join(random.Random(head).choices(alphabet, k=size))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("RU0204452560040702810412345678901", "Iban"), ("MA64 0115 1900 0001 2050 0053 4921", "Iban"),
        ("IR58 0540 1051 8002 1273 1130 07", "Iban"), ("11010519491231002X", "CnResidentId"), ("S1234567D", "SgNric"),
        ("12.531.909-2", "ClRut"), ("BOXW310820HNERXN09", "MxCurp"), ("PAN ABCPE1234F", "InPan"),
        ("AB-12-34-56-C", "UkNino"), ("redis://:UlbGD0CvP7fNzhky@cache:6379/0", "PasswordInUrl"),
        (token("xai-", 60), "ModelApiKey"), (token("pplx-", 48), "ModelApiKey"), (token("dop_v1_", 64, "0a1b2c"), "ServiceToken"),
        (token("shpat_", 32, "0a1b2c"), "ServiceToken"), (token("dapi", 32, "0a1b2c"), "ServiceToken"),
        ("https://discord.com/api/webhooks/157503318793011207/" + token("", 68), "ServiceToken"),
        ("https://a.blob.core.windows.net/c?sv=2022-11-02&sig=" + token("", 43) + "%3D", "CloudKey"),
        ("PuTTY-User-Key-File-2: ssh-rsa", "PrivateKey"), ("curl -u admin:Tr0ub4dor https://x", "PasswordInCommand"),
        ("mot de passe : Tr0ub4dor&3x", "AssignedSecret"), ("Kennwort: Tr0ub4dor&3x", "AssignedSecret"),
        ("session_id=" + token("", 32), "AssignedSecret"), ("我的号码是11010519491231002X请看", "CnResidentId"),
    ],
)  # fmt: skip
def test_kinds_of_other_countries_and_services(text: str, kind: str) -> None:
    assert kind in kinds(said(f"Look at {text} please."))


@pytest.mark.parametrize("how", [gzip.compress, zlib.compress, bz2.compress, lzma.compress])
def test_what_is_compressed_is_opened(how: Any) -> None:
    packed = how(b"It is DE89 3704 0044 0532 0130 00 indeed")
    assert "Iban" in kinds(said(base64.b64encode(packed).decode()))
    assert "Iban" in kinds(said(packed.hex()))


def test_what_cannot_be_opened_stays_and_a_bomb_is_no_text() -> None:
    for raw in (
        b"PK\x03\x04" + bytes(range(128, 160)),
        gzip.compress(bytes(range(256)))[:-9],
        gzip.compress(b"0" * (1 << 20)),
    ):
        assert words(said(base64.b64encode(raw).decode())) == {"Opaque"}


@pytest.mark.parametrize("word", ["ab ", "be ", "face ", "dead beef ", "add a bad cab "])
def test_words_of_hexadecimal_letters_over_and_over_are_words(word: str) -> None:
    assert said(word * (1_000_000 // len(word))).verdict == Verdict.MAY_LEAVE


def test_a_long_text_that_is_deflated_is_not_read_in_part() -> None:
    lots = random.Random(1)
    text = " ".join(lots.choice(["delivery", "weather", "customer", "reply", "late"]) for _ in range(60_000)).encode()
    assert said(base64.b64encode(zlib.compress(text)[2:-4]).decode()).verdict == Verdict.INSIDE


@given(st.binary(max_size=600))
def test_no_bytes_in_base64_make_a_detector_fail(raw: bytes) -> None:
    for text in (base64.b64encode(raw).decode(), raw.hex(), base64.b64encode(zlib.compress(raw)[2:]).decode()):
        assert "DetectorFailed" not in words(said(text))


def test_what_is_split_over_parts_of_another_type_is_joined() -> None:
    parts = [{"type": "text", "text": "4111 1111"}, {"type": "refusal", "refusal": " 1111 1111"}]
    assert "CreditCard" in kinds(said(parts))


@pytest.mark.parametrize(
    "text",
    [
        "in 1990, 2000, 2010 and 2020", "4000, 4500, 5000, 5500", "at 08:30 and 12:45:10", "std::vector<int>::size_type",
        "see page 123456789", "2026-11-21T14:41:39.000000Z", "3.14159265358979", "127.0.0.1", "version 1.22.333",
        "the password is required for the reset", "const token = get(name)", "10.000.000,00 EUR", "a@b", "01.02.2024",
        "f(x) = 0.123456789", "%d %s %5.2f", "AT&T &amp; more", "C:\\users\\new\\table", "sk-learn", "one at two",
        '"schema"."table" = "a" + "b"', "2**31 and 10**9", "[12, 15, 88, 41, 60, 72, 33, 90, 45, 52, 67]",
        "01000001 01000010 01000011 01000100 01000101 01000110 01000111 01001000", "flags \U0001f3f4\U000e0067\U000e007f",
        "9999999999999999", "0000-0000-0000-0000", "Überraschung für Straßenbahn", "日本語のテキストです", "x" * 100,
    ],
)  # fmt: skip
def test_what_only_looks_like_it_may_leave(text: str) -> None:
    assert said(text) == Decision(Verdict.MAY_LEAVE)


def test_places_are_told_and_never_what_was_found() -> None:
    raw = body("hello", metadata={"Jane Roe": CARD}, user=CARD)
    decision = decide(raw, rules(), ["public"])
    (reason,) = decision.reasons
    assert reason.places == ("metadata.*", "user")
    assert "1111" not in repr(decision)
    assert "Jane" not in repr(decision)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "NotJson"), (b"[]", "NotAnObject"), (b"{}", "UnknownShape"), (b"\xff", "NotUtf8"), (b'{"a":NaN}', "NotJson"),
        (b'{"messages":[{"role":"user","content":"a","content":"b"}]}', "DuplicateKeys"),
        (b'{"messages":[],"messages":[]}', "DuplicateKeys"), (b'{"messages":[]}', "UnknownShape"),
        (b'{"messages":[{"role":"user","content":"\\ud800"}]}', "NotUtf8"), (b"\xef\xbb\xbf{}", "NotJson"),
        (b'{"messages":[{"role":"user","content":{"text":"a"}}]}', "UnknownShape"), (b"\x1f\x8b\x08gzip", "NotUtf8"),
        (b'{"messages":[{"role":"user","content":"a"}],"prompt":"b"}', "UnknownShape"), (b"[" * 100_000, "TooDeep"),
        (b'{"prompt":[1,2,3]}', "NotText"), (b'{"input":[[1,2],[3]]}', "NotText"), (b'{"messages":[1]}', "UnknownShape"),
        (b'{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}]}', "NotText"),
        (b'{"messages":[{"role":"user","content":[{"type":"new","text":"a"}]}]}', "NotText"),
        (b'{"messages":[{"role":"user","content":"a","audio":{"id":"x"}}]}', "NotText"),
        (b'{"input":"a","previous_response_id":"r"}', "NotText"), (b'{"input":"a","modalities":["text","audio"]}', "NotText"),
        (b'{"prompt":"see data:image/png;base64,AAAA"}', "NotText"), (b'{"prompt":"a","x":' + b"[" * 40 + b"]" * 40 + b"}", "TooDeep"),
        (b'{"input":[{"type":"computer_call","content":"x"}]}', "NotText"),
    ],
)  # fmt: skip
def test_what_is_not_understood_stays(raw: bytes, reason: str) -> None:
    decision = decide(raw, rules(), ["public"])
    assert (decision.verdict, words(decision)) == (Verdict.INSIDE, {reason})


def test_a_number_may_be_a_number() -> None:
    assert "CreditCard" in kinds(decide(b'{"prompt":"a","metadata":{"n":4111111111111111}}', rules(), ["public"]))


def test_too_large_stays() -> None:
    assert words(decide(body("a" * 2000), rules(most_bytes=1000), ["public"])) == {"TooLarge"}


def test_a_file_in_base64_stays() -> None:
    assert words(said(base64.b64encode(random.Random(1).randbytes(600)).decode())) == {"Opaque"}


def test_what_is_encoded_too_deeply_stays() -> None:
    text = "hello, this is a text"
    for _ in range(7):
        text = base64.b64encode(text.encode()).decode()
    assert words(said(text)) == {"EncodedTooDeeply"}


def test_labels_come_first() -> None:
    assert words(decide(body("hello"), rules(), [])) == {"Unlabelled"}
    assert words(decide(body("hello"), rules(labels=("secret",)), ["secret", "x"])) == {"Label"}
    assert decide(body("hello"), rules(labels=("secret",)), ["x"]).verdict == Verdict.MAY_LEAVE


def test_a_detector_without_a_recognizer_keeps_all_inside() -> None:
    assert words(decide(body("hello"), rules(detectors=("Pii", "Phi")), ["public"])) == {"RecognizerMissing"}


def test_only_the_detectors_that_are_asked_for() -> None:
    only = rules(detectors=("Secrets",))
    assert decide(body(CARD), only, ["public"]).verdict == Verdict.MAY_LEAVE
    assert decide(body("AKIAIOSFODNN7EXAMPLE"), only, ["public"]).verdict == Verdict.INSIDE


def test_a_users_own_patterns_and_terms() -> None:
    own = rules(patterns=(("case", r"CASE-\d{4}"), ("паспорт", r"паспорт \d+")), deny_terms=("Project Falcon", "Größe"))
    for text in ("see CASE-1234", "мой паспорт 42", "the PROJECT\n falcon", "die größe zählt", "project\u200b falcon"):
        assert decide(body(text), own, ["public"]).verdict == Verdict.INSIDE, text
    for text in ("see CASE-12", "projects falcons", "Größenordnung"):
        assert decide(body(text), own, ["public"]).verdict == Verdict.MAY_LEAVE, text


@pytest.mark.parametrize("regex", ["(a", r"(?=a)b", r"(a)\1", "a*", "", "x" * 2000])
def test_a_pattern_that_cannot_run_is_refused(regex: str) -> None:
    with pytest.raises(BadPattern):
        compiled(Policy(patterns=(("own", regex),)))


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(BadPattern, match="unknown detector 'Pi'"):
        compiled(Policy(detectors=("Pi",)))


@pytest.mark.parametrize("regex", [r"(a+)+$", r"(a|aa)+b", r"(\w+\s?)*!", r"(.*a){12}"])
@pytest.mark.timeout(30)
def test_no_pattern_stalls(regex: str) -> None:
    decide(body("a" * 200_000), rules(patterns=(("own", regex),)), ["public"])


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["4 ", "41111111 ", "a@b ", "12:30:", "DE89", "%41", "&#x41;", "\\u0041", "0O", "aGVsbG8gd29ybGQ="]
)
def test_no_text_stalls(piece: str) -> None:
    decide(body(piece * (100_000 // len(piece))), rules(), ["public"])


def test_a_fault_of_ours_keeps_it_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> list[object]:
        raise MemoryError

    monkeypatch.setattr(module, "texts", fails)
    assert words(said("hello")) == {"DetectorFailed"}


def test_an_automaton_that_gives_up_keeps_it_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        def Match(self, text: bytes) -> list[int]:
            return []

    own = compiled(Policy())
    monkeypatch.setattr(own.scanner, "_set", Silent())
    assert words(decide(body("hello"), own, ["public"])) == {"DetectorFailed"}


def test_a_term_that_matches_everything_is_refused() -> None:
    with pytest.raises(BadPattern, match="every request"):
        Scanner(patterns=(("all", ".*"),))


def missed(number: int, seed: int) -> tuple[list[object], float]:
    """What left though it must not, and the share of clean ones that stayed."""
    left, clean, stayed = [], 0, 0
    for planted in requests(number, seed):
        verdict = decide(planted.body, rules(), ["public"]).verdict
        if planted.kind and verdict == Verdict.MAY_LEAVE:
            left.append((planted.kind, planted.encoding, planted.place, planted.body))
        clean += not planted.kind
        stayed += not planted.kind and verdict == Verdict.INSIDE
    return left, stayed / clean


def test_of_a_thousand_requests_nothing_planted_leaves() -> None:
    left, stayed = missed(1000, 11)
    assert left == []
    assert stayed <= 0.01


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_of_a_hundred_thousand_requests_nothing_planted_leaves() -> None:
    left, stayed = missed(100_000, 12)
    assert left == []
    assert stayed <= 0.01
