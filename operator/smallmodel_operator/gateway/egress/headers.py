"""Which headers leave and which come back: everything else is removed where nothing can add any more. Pure.

Envoy removes what matches a pattern, so an allow-list is a pattern of all that is not on it. (A script that walks the
headers would do, too, but a request goes on when a script of Envoy's fails.)
"""

import re
from collections.abc import Collection
from typing import Any, Final

from smallmodel_operator.gateway.xds.words import extension, header

LEAVE: Final = frozenset({":method", ":scheme", ":authority", ":path", "content-length"})
"""Nothing a caller writes as it likes: no name, no id. What else goes along is constant (`SAID`), or the credential,
which is put in behind this."""
SAID: Final = {"content-type": "application/json"}
RETURN: Final = frozenset(
    {
        ":status", "content-type", "content-length", "content-encoding", "cache-control", "date", "retry-after",
        "x-request-id", "x-ratelimit-limit-requests", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens",
    }
)  # fmt: skip
"""What OpenAI clients read; no cookies, no address to go to next."""


def others(names: Collection[str]) -> str:
    """A pattern of RE2 that matches, as a whole, every text but these."""
    if not names:
        return "(?s:.*)"
    tails: dict[str, set[str]] = {}
    for name in names:
        if name:
            tails.setdefault(name[0], set()).add(name[1:])
    heads = "".join(map(re.escape, sorted(tails)))
    ways = ["" if "" not in names else None, f"[^{heads}](?s:.*)" if heads else "(?s:.+)"]
    ways += [re.escape(head) + others(tails[head]) for head in sorted(tails)]
    return f"(?:{'|'.join(way for way in ways if way is not None)})"


def allowed_only() -> dict[str, Any]:
    """The filter, for the chain in front of a declared host."""
    return extension(
        "envoy.filters.http.header_mutation",
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        mutations={
            "request_mutations": [_remove(LEAVE), *({"append": header(*said)} for said in SAID.items())],
            "response_mutations": [_remove(RETURN)],
        },
    )


def _remove(kept: Collection[str]) -> dict[str, Any]:
    return {"remove_on_match": {"key_matcher": {"safe_regex": {"regex": others(kept)}}}}
