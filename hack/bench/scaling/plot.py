"""Attainment over replica-hours, one small picture for each trace, plain SVG."""

from collections.abc import Sequence
from html import escape
from typing import Any, Final

COLOURS: Final = {
    "objective": "#2f6fde",
    "hpa-inflight": "#d9822b",
    "knative": "#2e9e6b",
    "kubeai": "#9b51e0",
    "hpa-queue": "#c0392b",
    "fixed": "#8a8f98",
}
WIDTH, HEIGHT, GAP, COLUMNS = 360, 240, 50, 2
LOWEST: Final = 80.0


def draw(rows: Sequence[dict[str, Any]]) -> str:
    traces = list(dict.fromkeys(r["trace"] for r in rows))
    parts = _legend()
    for number, trace in enumerate(traces):
        x = GAP + number % COLUMNS * (WIDTH + GAP)
        y = 60 + number // COLUMNS * (HEIGHT + GAP + 20)
        parts += _picture(trace, [r for r in rows if r["trace"] == trace], x, y)
    width = GAP + COLUMNS * (WIDTH + GAP)
    height = 60 + -(-len(traces) // COLUMNS) * (HEIGHT + GAP + 20)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="{width}" height="{height}" fill="white"/>\n{body}\n</svg>\n'
    )


def _legend() -> list[str]:
    parts = []
    for number, (name, colour) in enumerate(COLOURS.items()):
        x = GAP + 125 * number
        parts.append(f'<circle cx="{x}" cy="20" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{x + 10}" y="24">{escape(name)}</text>')
    return parts


def _picture(trace: str, rows: Sequence[dict[str, Any]], x: int, y: int) -> list[str]:
    """Up: % of first tokens in time, from 80; to the right: replica-hours, as far as twice our own."""
    most = 2 * max(r["replica_hours"] for r in rows if r["policy"] == "objective")
    parts = [
        f'<text x="{x}" y="{y - 8}" font-weight="bold">{escape(trace)}</text>',
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ccc"/>',
    ]
    for level in (80, 90, 95, 100):
        at = y + HEIGHT * (100 - level) / (100 - LOWEST)
        parts.append(f'<line x1="{x}" x2="{x + WIDTH}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 6}" y="{at + 4:.1f}" text-anchor="end">{level}</text>')
    parts.append(f'<text x="{x + WIDTH}" y="{y + HEIGHT + 16}" text-anchor="end">{most:.1f} replica-hours</text>')
    for row in sorted(rows, key=lambda r: r["policy"] == "objective"):
        if row["attainment_percent"] < LOWEST or row["replica_hours"] > most:
            continue
        across = x + WIDTH * row["replica_hours"] / most
        up = y + HEIGHT * (100 - row["attainment_percent"]) / (100 - LOWEST)
        size = 5 if row["policy"] == "objective" else 3
        parts.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="{size}" fill="{COLOURS[row["policy"]]}"/>')
    return parts
