"""How people really type: slips of the finger, chat shorthand, missing apostrophes and small words left out."""

from __future__ import annotations

import random

NEIGHBOURS = {
    "a": "sqwz", "b": "vghn", "c": "xdfv", "d": "serfcx", "e": "wsdr", "f": "drtgvc", "g": "ftyhbv", "h": "gyujnb",
    "i": "ujko", "j": "huikmn", "k": "jiolm", "l": "kop", "m": "njk", "n": "bhjm", "o": "iklp", "p": "ol", "q": "wa",
    "r": "edft", "s": "awedxz", "t": "rfgy", "u": "yhji", "v": "cfgb", "w": "qase", "x": "zsdc", "y": "tghu",
    "z": "asx",
}  # fmt: skip
SHORTHAND = {
    "you": "u", "your": "ur", "please": "pls", "are": "r", "thanks": "thx", "tomorrow": "tmrw", "because": "cos",
    "want to": "wanna", "do not": "dont", "don't": "dont", "can't": "cant", "cannot": "can not", "what's": "whats",
    "what is": "what's", "i am": "i'm", "i'm": "im", "i have": "i've", "where is": "where's", "is it": "is it",
    "e-mail": "email", "email": "e-mail", "colour": "color", "catalogue": "catalog", "cheque": "check",
    "programme": "program", "and": "&", "number": "no.", "address": "adress", "receive": "recieve", "invoice": "invoce",
    "warranty": "waranty", "guarantee": "garantee", "calibration": "callibration", "delivery": "delivry",
    "language": "langauge", "password": "passwort", "device": "devise", "available": "availible", "does": "dose",
    "i would": "i'd", "doesn't": "doesnt", "won't": "wont", "haven't": "havent", "i'd": "id", "didn't": "didnt",
    "the": "teh", "information": "info", "account": "acount", "cancel": "cancle", "payment": "payement",
}  # fmt: skip
SMALL = frozenset(
    {"a", "an", "the", "my", "your", "our", "i", "we", "you", "do", "does", "is", "are", "to", "of", "for", "it", "in",
     "on", "at", "please", "can", "could", "would", "will", "be", "me", "am", "have", "has", "this", "that", "some",
     "any", "get", "there"}
)  # fmt: skip


def misspell(text: str, rng: random.Random) -> str:
    """Leave about half of the texts alone; change the rest a little."""
    if rng.random() < 0.2:
        for plain in rng.sample(list(SHORTHAND), 24):
            padded = f" {text} "
            if f" {plain} " in padded:
                text = padded.replace(f" {plain} ", f" {SHORTHAND[plain]} ").strip()
    words = text.split()
    if len(words) > 4 and rng.random() < 0.12:
        chance = rng.choice((0.2, 0.4, 0.8))
        words = [w for w in words if w not in SMALL or rng.random() > chance]
    if rng.random() < 0.3:
        chance = rng.choice((0.06, 0.12, 0.2))
        words = [_slip(w, rng) if len(w) > 3 and rng.random() < chance else w for w in words]
    if rng.random() < 0.08:
        words = " ".join(words).translate(str.maketrans("", "", ",.?!'-")).split()
    if rng.random() < 0.02:
        return "  ".join(words)
    return " ".join(words)


def _slip(word: str, rng: random.Random) -> str:
    """One slip of the finger; the first letter mostly survives, as it does when people type."""
    at = rng.randrange(0 if rng.random() < 0.15 else 1, len(word))
    kind = rng.randrange(5)
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1:
        return word[:at] + word[at] + word[at:]
    if kind == 2 and at + 1 < len(word):
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 3:
        return word[:at] + rng.choice(NEIGHBOURS.get(word[at], word[at])) + word[at + 1 :]
    return word[:at] + rng.choice(NEIGHBOURS.get(word[at], word[at])) + word[at:]
