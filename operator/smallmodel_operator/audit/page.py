"""A boundary report as a page for people: one HTML file, no script, nothing loaded from elsewhere. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from smallmodel_operator.audit.summary import share, unseen, verdict

STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2430;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:.2rem}h2{margin-top:2.2rem;border-bottom:1px solid #d6dae1}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #e6e9ee;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.verdict{padding:1rem 1.2rem;border-left:6px solid;margin:1.2rem 0;font-size:17px}
.good{border-color:#1a7f4b;background:#ecf7f1}.bad{border-color:#b3261e;background:#fbeeed}.open{border-color:#b26a00;background:#fdf5e8}
code{font-size:13px;overflow-wrap:anywhere}.quiet{color:#5b6472}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}}
"""
USES: Final = (
    ("model", "Model"), ("caller", "Caller"), ("namespace", "Namespace"), ("requests", "Requests"),
    ("answered", "Answered"), ("refused", "Refused"), ("failed", "Failed"), ("left", "Given up"),
    ("input_tokens", "Tokens in"), ("output_tokens", "Tokens out"),
)  # fmt: skip
ENFORCED: Final = {"True": "proven", "False": "NOT enforced", "Unknown": "unknown"}
NUMBERS: Final = ("first", "last", "signed_to", "finished", "recorded", "missing", "surplus")


def page(value: Mapping[str, Any]) -> str:
    """The page of a report (`summary.statement`, signed or not)."""
    good, sentence = verdict(value)
    colour = "bad" if not good else "open" if unseen(value) else "good"
    period, total = value["period"], value["total"]
    parts = [
        "<h1>Data boundary report</h1>",
        f'<p class="quiet">{_text(period["since"])} to before {_text(period["until"])} (UTC), '
        f"made {_text(value['made'])}</p>",
        f'<p class="verdict {colour}">{_text(sentence)}</p>',
        f"<p>{_count(total['requests'])} requests: {_count(total['answered'])} answered, {_count(total['refused'])} "
        f"refused by a gateway, {_count(total['failed'])} failed, {_count(total['left'])} given up by their callers. "
        "Texts of requests and answers are recorded nowhere.</p>",
        *_left(value["left"]),
        *_network(value["enforcement"], value["gateways"]),
        "<h2>Who asked which model</h2>",
        _table([title for _, title in USES], ([use[name] for name, _ in USES] for use in value["uses"])),
        *_causes(value["causes"]),
        *_events(value["events"], value["ordinary_events"]),
        *_chains(value["gateways"]),
        *_controls(value["controls"]),
        *_signature(value),
    ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Data boundary report {_text(period['since'])}</title><style>{STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _left(left: Mapping[str, Any]) -> list[str]:
    found = ["<h2>What left the cluster</h2>"]
    if not left["judged"]:
        return [
            *found,
            f"<p>{_count(left['sent'])} requests went on, each to a model of this cluster. The addresses "
            "they went to were not compared with the cluster's networks: make the report with <code>--inside</code> "
            "to have that.</p>",
        ]
    networks = ", ".join(left["inside"])
    found.append(
        f"<p><strong>{_count(left['requests'])} requests, {_count(left['bytes'])} bytes</strong> "
        f"of {_count(left['sent'])} that went on to an address. Inside are: <code>{_text(networks)}</code>.</p>"
    )
    if left["destinations"]:
        rows = ([item["address"], item["requests"], item["bytes"]] for item in left["destinations"])
        found.append(_table(["Destination", "Requests", "Bytes"], rows))
        if left["addresses"] > len(left["destinations"]):
            found.append(f"<p>and {_count(left['addresses'] - len(left['destinations']))} more</p>")
    return found


def _network(seconds: Mapping[str, int], gateways: Sequence[Mapping[str, Any]]) -> list[str]:
    found = [
        "<h2>Did the network enforce policies?</h2>",
        "<p>Pods of models may reach nothing; that holds where the network enforces it. A canary tries it again and "
        "again, and each gateway records what it found. Proven is only the time between two tries that showed it; a "
        "time nobody looked at counts as unknown.</p>",
        f"<p><strong>{_shares(seconds)}</strong> of the time, by all records together.</p>",
    ]
    for gateway in gateways:
        said = gateway["enforcement"]
        found.append(f"<p><strong>{_text(gateway['place'])}</strong>: {_shares(said['seconds'])}</p>")
        rows = (
            [r["since"], r["until"], ENFORCED[r["status"]], "; ".join(r["through"]) or r["message"], r["record"] or ""]
            for r in said["findings"]
        )
        found.append(_table(["From", "To before", "Enforced", "What was found", "Record"], rows))
        if said["older"]:
            found.append(f"<p>and {_count(said['older'])} older ones: ask for a shorter time to see them</p>")
    return found


def _shares(seconds: Mapping[str, int]) -> str:
    return (
        f"Proven {share(seconds, 'proven')}, not enforced {share(seconds, 'not_proven')}, "
        f"unknown {share(seconds, 'unknown')}"
    )


def _causes(causes: Mapping[str, int]) -> list[str]:
    if not causes:
        return []
    return ["<h2>Why requests were not answered</h2>", _table(["Cause", "Requests"], causes.items())]


def _events(events: Sequence[Mapping[str, Any]], ordinary: int) -> list[str]:
    found = ["<h2>Events in the record</h2>"]
    named = ("event", "time", "seq")
    rows = [
        [event.get("time"), event.get("event"), "; ".join(f"{k}: {v}" for k, v in event.items() if k not in named)]
        for event in events
    ]
    found.append(_table(["Time", "Event", "Details"], rows) if rows else "<p>None.</p>")
    return [
        *found,
        f'<p class="quiet">{_count(ordinary)} ordinary ones (starts, new configuration) are not listed.</p>',
    ]


def _chains(gateways: Sequence[Mapping[str, Any]]) -> list[str]:
    found = [
        "<h2>How this is proven</h2>",
        "<p>Each gateway keeps a chain of records in which each names the hash of the one before it; what is changed, "
        "taken out or put in is found. Envoy counts its requests itself, and the numbers are compared. The whole chain "
        "counts here, not only the period. <code>slm audit verify</code> repeats the check from the files alone.</p>",
    ]
    for gateway in gateways:
        number = {name: _count(gateway[name]) for name in NUMBERS}
        state = "intact" if gateway["intact"] else f"{len(gateway['faults'])} fault(s)"
        found.append(
            f"<p><strong>{_text(gateway['place'])}</strong>: {state}, records {number['first']} to {number['last']}, "
            f"signed to {number['signed_to']}.<br>Requests counted by Envoy: {number['finished']}; recorded: "
            f"{number['recorded']}; missing: {number['missing']}; too many: {number['surplus']}.<br>"
            f"Head: <code>{_text(gateway['head'])}</code><br>Signed with: "
            f"<code>{_text(', '.join(gateway['keys']) or 'no key')}</code></p>"
        )
        said = [*gateway["faults"], *gateway["warnings"]]
        found += ["<ul>", *(f"<li>{_text(text)}</li>" for text in said), "</ul>"] if said else []
    return found


def _controls(controls: Sequence[Mapping[str, Any]]) -> list[str]:
    if not controls:
        return []
    rows = ([c["does"], ", ".join(c["duties"]), c["test"]] for c in controls)
    return [
        "<h2>Controls of this version</h2>",
        "<p>Each row names the test that goes red when the control is taken away; a control without one is not listed. "
        "An article says what a control helps with, not that a duty is met.</p>",
        _table(["What it does", "Helps with", "Its test"], rows),
    ]


def _signature(value: Mapping[str, Any]) -> list[str]:
    if "signature" not in value:
        return ['<p class="quiet">This report is not signed.</p>']
    return [
        f'<p class="quiet">The JSON of this report is signed with key <code>{_text(value["key"])}</code>: '
        "<code>slm boundary check-report</code> checks it.</p>"
    ]


def _table(titles: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    lines = [[_cell(cell) for cell in row] for row in rows]
    if not lines:
        return "<p>None.</p>"
    numbers = ['class="n"' if cell.startswith('<td class="n"') else "" for cell in lines[0]]
    head = "".join(f"<th {c}>{_text(t)}</th>" for t, c in zip(titles, numbers, strict=True))
    body = "\n".join(f"<tr>{''.join(line)}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _cell(value: Any) -> str:
    if type(value) is int:
        return f'<td class="n">{_count(value)}</td>'
    return f"<td>{_text(value) or '–'}</td>"


def _count(value: int) -> str:
    return f"{value:,}"


def _text(value: Any) -> str:
    return escape("" if value is None else str(value))
