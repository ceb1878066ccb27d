"""The rows as a picture: bars on a logarithmic scale, plain SVG."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any, Final

COLOURS: Final = {"raw Envoy": "#8a8f98", "our gateway": "#2f6fde", "LiteLLM": "#d9822b"}
WIDTH, LABELS, BAR, GAP = 760, 320, 18, 6


def draw(result: dict[str, Any]) -> str:
    """Added latency and requests per CPU second of each proxy."""
    rows = [r for r in result["rows"] if r["subject"] in COLOURS]
    last = [r for r in rows if r["load"] == "32 connections, 50/s"]
    parts: list[str] = []
    y = 30
    for title, values in (
        ("Added latency, p50, ms (shorter is better)", [(r, r["added_p50_ms"]) for r in rows]),
        ("Requests per CPU second (longer is better)", [(r, r["rps_per_cpu_second"]) for r in last]),
    ):
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{escape(title)}; logarithmic</text>')
        y = _bars(parts, values, y + 14) + 34
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="13">\n'
        f'<rect width="{WIDTH}" height="{y}" fill="white"/>\n{body}\n</svg>\n'
    )


def _bars(parts: list[str], values: Sequence[tuple[dict[str, Any], float]], y: int) -> int:
    """Draw bars from y on; where they end. A bar's length is the logarithm over a tenth of the smallest value."""
    least = min(max(v, 0.01) for _, v in values) / 10
    most = max(v for _, v in values)
    room = WIDTH - LABELS - 90
    for row, value in values:
        length = room * math.log10(max(value, 0.01) / least) / math.log10(most / least)
        name, colour = f"{row['subject']}: {row['load']}", COLOURS[row["subject"]]
        parts.append(f'<text x="{LABELS - 10}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>')
        parts.append(f'<text x="{LABELS + length + 6:.1f}" y="{y + 13}">{value:g}</text>')
        y += BAR + GAP
    return y
