"""The same requests as `planted`, said in another way: other spaces, other order of keys, letters as escapes. Seeded.

What a reader of JSON understands stays the same, but for the order of keys.
"""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hack.bench.routing.planted import Planted, requests

_TEXT = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?')
"""A text; a key with its colon."""
_MODEL = '"support"'
"""Of `planted`: the place that is renamed."""


def dressed(number: int, seed: int) -> Iterator[Planted]:
    """So many: as they were made, or otherwise."""
    lots = random.Random(seed)
    for one in requests(number, seed):
        yield replace(one, body=_said(lots, one.body)) if lots.random() < 0.7 else one


def _said(lots: random.Random, body: bytes) -> bytes:
    value: dict[str, Any] = json.loads(body)
    keys = list(value)
    lots.shuffle(keys)
    space = lots.choice(("", " ", "\t", "\n", " \r\n "))
    text = json.dumps(
        {key: value[key] for key in keys},
        ensure_ascii=lots.random() < 0.5,
        indent=lots.choice((None, None, 1, "\t")),
        separators=("," + space, space + ":" + space),
    )
    share = lots.choice((0.0, 0.1, 1.0))
    text = _TEXT.sub(lambda found: found[0] if found[2] else _escaped(lots, found[1], share), text)
    return (space + text + space).encode()


def _escaped(lots: random.Random, text: str, share: float) -> str:
    if text == _MODEL:
        return text
    inner = re.sub(
        r"\\u....|\\.|[ -~]",
        lambda c: f"\\u{ord(c[0]):04x}" if len(c[0]) == 1 and lots.random() < share else c[0],
        text[1:-1],
    )
    return f'"{inner}"'
