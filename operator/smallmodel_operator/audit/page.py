"""A boundary report as a page for people: one HTML file, no script, nothing loaded from elsewhere. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from smallmodel_operator.audit.period import Period
from smallmodel_operator.audit.style import POLICY, STYLE
from smallmodel_operator.audit.summary import share, unseen, verdict

USES: Final = (
    ("model", "Model"), ("caller", "Caller"), ("namespace", "Namespace"), ("requests", "Requests"),
    ("answered", "Answered"), ("refused", "Refused"), ("failed", "Failed"), ("left", "Given up"),
    ("input_tokens", "Tokens in"), ("output_tokens", "Tokens out"),
)  # fmt: skip
CHAINS: Final = (
    ("first", "First record"), ("last", "Last record"), ("signed_to", "Signed to"), ("finished", "Counted by Envoy"),
    ("recorded", "Recorded"), ("missing", "Missing"), ("surplus", "Too many"),
)  # fmt: skip
ENFORCED: Final = {"True": "proven", "False": "NOT enforced", "Unknown": "unknown"}


class Code(str):
    """A text people compare sign by sign, such as a hash."""

    __slots__ = ()


def page(value: Mapping[str, Any]) -> str:
    """The page of a report (`summary.statement`, signed or not)."""
    good, sentence = verdict(value)
    period, total = value["period"], value["total"]
    named = Period(period["since"], period["until"]).words()
    known = value["left"]["judged"] and not unseen(value)
    colour = "bad" if not good else "good" if known else "open"
    parts = [
        f'<header><h1>Data boundary report</h1><p class="period">{_text(named)}</p></header>',
        f'<p class="quiet">From {_text(period["since"])} 00:00 to {_text(period["until"])} 00:00 UTC. '
        f"Made {_text(value['made'][:16].replace('T', ' '))} UTC.</p>",
        f'<p class="verdict {colour}">{_text(sentence)}</p>',
        *_facts(value),
        f"<p>{_count(total['requests'])} requests: {_count(total['answered'])} answered, {_count(total['refused'])} "
        f"refused by a gateway, {_count(total['failed'])} failed, {_count(total['left'])} given up by their callers. "
        "Records have no texts of requests or answers; what a route keeps (audit.content) is no part of this.</p>",
        *_left(value["left"]),
        *_passed(value["passed"]),
        "<h2>Who asked which model</h2>",
        _table([title for _, title in USES], ([use[name] for name, _ in USES] for use in value["uses"])),
        *_causes(value["causes"]),
        *_network(value["enforcement"], value["gateways"]),
        *_events(value["events"], value["ordinary_events"]),
        *_chains(value["gateways"]),
        *_controls(value["controls"]),
        *_signature(value),
    ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Data boundary report {_text(named)}</title><style>{STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _facts(value: Mapping[str, Any]) -> list[str]:
    """What is looked for first, in large numbers."""
    left, gateways = value["left"], value["gateways"]
    facts = {
        "Requests": _count(value["total"]["requests"]),
        "Of them left the cluster": _count(left["requests"]) if left["judged"] else "not compared",
        "Gateways with intact records": f"{sum(g['intact'] for g in gateways)} of {len(gateways)}",
        "Requests without a record": _count(sum(g["missing"] for g in gateways)),
    }
    return [
        "<dl>",
        *(f"<div><dt>{_text(name)}</dt><dd>{_text(said)}</dd></div>" for name, said in facts.items()),
        "</dl>",
    ]


def _left(left: Mapping[str, Any]) -> list[str]:
    found = ["<h2>What left the cluster</h2>"]
    if not left["judged"]:
        return [
            *found,
            f"<p>{_count(left['sent'])} requests went on, each to a model of this cluster. The addresses "
            "they went to were not compared with the cluster's networks: make the report with <code>--inside</code> "
            "to have that (<code>slm boundary networks</code> prints it).</p>",
        ]
    sent, networks = _count(left["sent"]), f"<code>{_text(', '.join(left['inside']))}</code>"
    if not left["requests"]:
        return [
            *found,
            "<p><strong>Nothing: 0 requests, 0 bytes.</strong> "
            f"All {sent} requests that were sent on went to addresses inside the cluster's networks: {networks}.</p>",
        ]
    found.append(
        f"<p><strong>{_count(left['requests'])} requests, {_count(left['bytes'])} bytes.</strong> "
        f"Of {sent} requests that were sent on, these went to addresses outside the cluster's networks, {networks}.</p>"
    )
    if left["destinations"]:
        rows = ([item["address"], item["requests"], item["bytes"]] for item in left["destinations"])
        found.append(_table(["Destination", "Requests", "Bytes"], rows))
        if left["addresses"] > len(left["destinations"]):
            found.append(f"<p>and {_count(left['addresses'] - len(left['destinations']))} more</p>")
    return found


def _passed(passed: Mapping[str, Any]) -> list[str]:
    """What went through the egress; nothing where nothing did."""
    egress = passed["egress"]
    if not passed["requests"] and not egress["given"] and not passed["unmatched"]:
        return []
    log = "Its log was not given."
    if egress["given"]:
        log = f"Its log has {_count(egress['sent'])} that went to a host, and {_count(egress['refused'])} refused."
    named = ("target", "requests", "bytes", "sent", "sent_bytes")
    rows = ([*(t[name] for name in named), ", ".join(t["callers"]), ", ".join(t["hosts"])] for t in passed["targets"])
    titles = ("Target", "Requests", "Bytes", "In its log", "Bytes sent", "Callers", "Addresses")
    found = [
        "<h2>What left through the egress</h2>",
        f"<p><strong>{_count(passed['requests'])} requests, {_count(passed['bytes'])} bytes; "
        f"{_count(passed['unmatched'])} unmatched.</strong> {log}</p>",
        _table(titles, rows),
    ]
    if passed["listed"]:
        listed = ([item[name] for name in ("time", "id", "target", "why")] for item in passed["listed"])
        found += ["<h3>Unmatched</h3>", _table(["Time", "Request", "Target", "What does not match"], listed)]
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
        [
            str(event.get("time", ""))[:19].replace("T", " "),
            event.get("event"),
            "; ".join(f"{k}: {_plain(v)}" for k, v in event.items() if k not in named),
        ]
        for event in events
    ]
    found.append(_table(["Time (UTC)", "Event", "Details"], rows) if rows else "<p>None.</p>")
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
    rows = [
        [g["place"], "intact" if g["intact"] else f"{len(g['faults'])} fault(s)", *(g[name] for name, _ in CHAINS)]
        for g in gateways
    ]
    found.append(_table(["Gateway", "State", *(title for _, title in CHAINS)], rows))
    for gateway in gateways:
        said = [f"{gateway['place']}: {text}" for text in (*gateway["faults"], *gateway["warnings"])]
        found += ["<ul>", *(f"<li>{_text(text)}</li>" for text in said), "</ul>"] if said else []
    heads = ([g["place"], Code(g["head"]), Code(", ".join(g["keys"]) or "no key")] for g in gateways)
    return [
        *found,
        "<h2>Heads of the chains</h2>",
        _table(["Gateway", "Hash of the last record", "Signed with key"], heads),
    ]


def _controls(controls: Sequence[Mapping[str, Any]]) -> list[str]:
    if not controls:
        return []
    rows = ([c["does"], ", ".join(d.replace(" ", "\u00a0") for d in c["duties"]), Code(c["test"])] for c in controls)
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
    lines = [[_cell(cell, title) for cell, title in zip(row, titles, strict=True)] for row in rows]
    if not lines:
        return "<p>None.</p>"
    columns = zip(*lines, strict=True)
    numbers = [' class="n"' if any(cell.startswith('<td class="n"') for cell in column) else "" for column in columns]
    head = "".join(f'<th scope="col"{c}>{_text(t)}</th>' for t, c in zip(titles, numbers, strict=True))
    body = "\n".join(f"<tr>{''.join(line)}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _cell(value: Any, title: str) -> str:
    """`title` stands before it where a screen is too narrow for columns."""
    label = f'data-title="{_text(title)}"'
    if type(value) is int:
        return f'<td class="n" {label}>{_count(value)}</td>'
    if isinstance(value, Code):
        return f"<td {label}><code>{_text(value)}</code></td>"
    return f"<td {label}>{_text(value) or '–'}</td>"


def _count(value: int) -> str:
    return f"{value:,}"


def _plain(value: Any) -> str:
    """A JSON value without its signs."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    return str(value)


def _text(value: Any) -> str:
    return escape("" if value is None else str(value))
