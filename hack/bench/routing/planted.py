"""OpenAI requests with something planted in them, or nothing: any place, any encoding, any separators. By a seed."""

import base64
import gzip
import html
import json
import random
import textwrap
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hack.bench.routing.values import INVALID, PLAIN, VALID, Lots

SENTENCES = (
    "Please check {} for me.", "The customer wrote: {} and wants an answer today.", "{}", "Note:{};done",
    "Is {} right? Explain in two sentences.", "row 17 | {} | open", "Wir haben {} erhalten.", "({})",
)  # fmt: skip
FILLER = (
    "Summarise the meeting in three points.", "Translate the paragraph into French, and keep the tone.",
    "Write a function that sorts a list of names.", "What are the risks of this plan? Answer briefly.",
    "The delivery is late because of the weather; draft a friendly reply.", "Compare both offers in a table.",
)  # fmt: skip
Code = Callable[[str], str]
ENCODINGS: dict[str, Code] = {
    "as it is": str,
    "base64": lambda t: base64.b64encode(t.encode()).decode(),
    "base64url": lambda t: base64.urlsafe_b64encode(t.encode()).decode().rstrip("="),
    "base32": lambda t: base64.b32encode(t.encode()).decode(),
    "hex": lambda t: t.encode().hex(),
    "hex, escaped": lambda t: "".join(f"\\x{b:02x}" for b in t.encode()),
    "URL": lambda t: "".join(f"%{b:02X}" for b in t.encode()),
    "URL, quoted": lambda t: quote(t, safe=""),
    "HTML": lambda t: "".join(f"&#{ord(c)};" for c in t),
    "HTML, hex": lambda t: html.escape("".join(f"&#x{ord(c):x};" for c in t)),
    "JSON escapes": lambda t: "".join(f"\\u{ord(c):04x}" for c in t),
    "full width": lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
    "zero width": lambda t: "\u200b".join(t),
    "base64 twice": lambda t: base64.b64encode(base64.b64encode(t.encode())).decode(),
    "base64 in URL": lambda t: quote(base64.b64encode(t.encode()).decode(), safe=""),
    "gzip, base64": lambda t: base64.b64encode(gzip.compress(t.encode())).decode(),
    "UTF-16, base64": lambda t: base64.b64encode(t.encode("utf-16-le" if t.isascii() else "utf-8")).decode(),
    "base64, quoted": lambda t: "\n> ".join(
        textwrap.wrap(base64.b64encode(f"note: {t}, keep it".encode()).decode(), 60)
    ),
    "base32, small": lambda t: base64.b32encode(f"note this: {t}".encode()).decode().lower(),
    "hex, in lines": lambda t: "\n".join(textwrap.wrap(t.encode().hex(" "), 48)),
    "URL, wide": lambda t: "".join(f"%u{ord(c):04x}" for c in t),
    "octal": lambda t: "".join(f"\\{ord(c):03o}" if c.isascii() else c for c in t),
    "code points": lambda t: " ".join(f"U+{ord(c):04X}" for c in t),
    "HTML tags": lambda t: "<b></b>".join(t[n : n + 4] for n in range(0, len(t), 4)),
    "struck out": lambda t: "".join(f"{c}\u0336" for c in t),
    "digits in rings": lambda t: "".join("⓿❶❷❸❹❺❻❼❽❾"[int(c)] if c in "0123456789" else c for c in t),
    "zlib, base64": lambda t: base64.b64encode(zlib.compress(t.encode())).decode(),
    "halves": lambda t: json.dumps(t.translate({48 + n: 0x1D7CE + n for n in range(10)})),
    "tags": lambda t: "".join(chr(0xE0000 + ord(c)) if " " <= c <= "~" else c for c in t),
    "decimal": lambda t: ", ".join(str(b) for b in t.encode()),
    "binary": lambda t: " ".join(f"{b:08b}" for b in t.encode()),
    "literals": lambda t: '" + "'.join(t[n : n + 6] for n in range(0, len(t), 6)),
    "CDATA": lambda t: "]]><![CDATA[".join(t[n : n + 5] for n in range(0, len(t), 5)),
    "hex in JSON": lambda t: json.dumps({"blob": t.encode().hex()}),
}
_ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
_SEPARATED = ("CreditCard", "Iban")
_PLACES = 14


@dataclass(frozen=True, slots=True)
class Planted:
    """A request; `kind` of what is in it, empty for a clean one; `value`, and as which `text` it was put there."""

    body: bytes
    kind: str
    encoding: str
    place: int
    value: str = ""
    text: str = ""


def requests(number: int, seed: int) -> Iterator[Planted]:
    """So many: half of them with something valid in them, half clean (a quarter of these with invalid numbers)."""
    lots = random.Random(seed)
    kinds, encodings, wrong = list(VALID), list(ENCODINGS), list(INVALID)
    for n in range(number):
        if n % 2:
            name = lots.choice(wrong) if n % 8 == 1 else ""
            value = INVALID[name](lots) if name else PLAIN[lots.choice(list(PLAIN))](lots)
            yield Planted(_body(lots, value, lots.randrange(_PLACES)), "", "as it is", 0)
            continue
        kind, encoding, place = kinds[n // 2 % len(kinds)], lots.choice(encodings), lots.randrange(_PLACES)
        value = _mutated(lots, kind, VALID[kind](lots))
        text = value if encoding == "as it is" else ENCODINGS[encoding](lots.choice((value, f"It is {value} indeed")))
        yield Planted(_body(lots, text, place), kind, encoding, place, value, text)


def _mutated(lots: Lots, kind: str, value: str) -> str:
    if kind in _SEPARATED:
        mark, size = lots.choice(("", " ", "-", ".")), lots.choice((4, 4, 2, 1) if kind == "CreditCard" else (4,))
        value = mark.join(value[n : n + size] for n in range(0, len(value), size))
    if value.replace(" ", "").isdigit() and lots.random() < 0.2:
        value = value.translate(_ARABIC)
    return value


def _body(lots: Lots, value: str, place: int) -> bytes:
    said = lots.choice(SENTENCES).format(value)
    filler = lots.sample(FILLER, 3)
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": filler[0]},
        {"role": "user", "content": filler[1]},
    ]
    request: dict[str, Any] = {"model": "support", "messages": messages}
    if place >= len(_IN_MESSAGES):
        _put_beside(place, said, value, request, filler[2])
    else:
        _IN_MESSAGES[place](lots, said, value, messages, filler[2])
    return json.dumps(request, ensure_ascii=lots.random() < 0.5).encode()


def _system(lots: Lots, said: str, value: str, messages: list[Any], filler: str) -> None:
    messages[0]["content"] = said


def _user(lots: Lots, said: str, value: str, messages: list[Any], filler: str) -> None:
    messages[1]["content"] = f"{filler} {said} {filler}"


def _parts(lots: Lots, said: str, value: str, messages: list[Any], filler: str) -> None:
    messages[1]["content"] = [{"type": "text", "text": filler}, {"type": "text", "text": said}]


def _split(lots: Lots, said: str, value: str, messages: list[Any], filler: str) -> None:
    at = lots.randrange(1, max(2, len(value)))
    messages[1]["content"] = [{"type": "text", "text": value[:at]}, {"type": "text", "text": value[at:]}]


def _call(lots: Lots, said: str, value: str, messages: list[Any], filler: str) -> None:
    arguments = json.dumps({"query": said}, ensure_ascii=lots.random() < 0.5)
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": arguments}}
    messages.append({"role": "assistant", "tool_calls": [call]})


def _result(lots: Lots, said: str, value: str, messages: list[Any], filler: str) -> None:
    messages.append({"role": "tool", "tool_call_id": "call_1", "content": json.dumps({"rows": [said, filler]})})


def _name(lots: Lots, said: str, value: str, messages: list[Any], filler: str) -> None:
    messages[1]["name"] = value


_IN_MESSAGES = (_system, _user, _user, _user, _parts, _split, _call, _call, _result, _name)


def _put_beside(place: int, said: str, value: str, request: dict[str, Any], filler: str) -> None:
    if place == 10:
        request["metadata"] = {"note": said}
    elif place == 11:
        request["user"] = value
    elif place == 12:
        request["tools"] = [{"type": "function", "function": {"name": "f", "description": said, "parameters": {}}}]
    else:
        del request["messages"]
        request["prompt"] = f"{filler}\n{said}"
