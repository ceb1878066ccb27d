"""`slm boundary report` and `check-report`: what the records say of a time, signed, for people and programs."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from smallmodel_operator.audit import summary
from smallmodel_operator.audit.history import History
from smallmodel_operator.audit.leaving import line_of
from smallmodel_operator.audit.page import page
from smallmodel_operator.audit.period import Period
from smallmodel_operator.audit.record import Record
from smallmodel_operator.audit.sign import KEY, Signer, signed
from smallmodel_operator.audit.verify import Verifier
from smallmodel_operator.boundary.controls import CONTROLS
from smallmodel_operator.cli.audit import failed, public_keys, through
from smallmodel_operator.cli.audit_files import Chain, NoRecords, chains
from smallmodel_operator.cli.audit_words import plain
from smallmodel_operator.cli.console import sentence, stdout

WRONG = 1
SHARES: Final = (("proven", "proven"), ("not_proven", "not enforced"), ("unknown", "unknown"))
WORDS: Final = {"True": "proven", "False": "NOT ENFORCED", "Unknown": "unknown"}


def report(
    names: list[str], period: str, inside: list[str], keys: list[str], sign_with: str, output: str, egress: list[str]
) -> int:
    """Print the report; 0: all in order, 1: something is not, 2: it could not be made."""
    try:
        found = summary.Summary(_period(period), tuple(map(_network, inside)))
        public_keys(keys)
        signer = _signer(Path(sign_with)) if sign_with else None
        if signer and output == "table":
            raise ValueError("--sign-with signs what is written to a file: add -o json or -o html")
        for log in egress:
            _read_egress(Path(log), found)
        checked = [_checked(chain, found, keys) for chain in _progress(chains(names))]
    except (NoRecords, OSError, ValueError) as error:
        return failed(sentence(error))
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    value = summary.statement(found, checked, made, [asdict(control) for control in CONTROLS])
    if signer:
        value = signer.sign(value)
    if output == "json":
        print(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))
    elif output == "html":
        print(page(value), end="")
    else:
        _show(value)
    return 0 if summary.verdict(value)[0] else WRONG


def check_report(name: str, key: str) -> int:
    """Say whether a report is as it was signed; 0: it is, 1: it is not, 2: it is no report."""
    try:
        public_keys([key] if key else [])
        value: Any = _json(Path(name))
        if not isinstance(value, dict) or value.get("form") != summary.FORM:
            raise ValueError(f"{name} is no report in JSON, as `slm boundary report -o json` writes it")
    except (NoRecords, OSError, ValueError, RecursionError) as error:
        return failed(sentence(error))
    if "signature" not in value:
        return failed(f"{name} is not signed: make the report with --sign-with", WRONG)
    if not signed(value):
        return failed(f"{name} IS NOT what was signed", WRONG)
    if key and value[KEY] != key:
        return failed(f"{name} is signed with key {value[KEY]}, not with {key}", WRONG)
    pinned = "" if key else " (whose key that is has to be known from elsewhere: give it with --key)"
    print(f"{name} is as it was signed, with key {value[KEY]}{pinned}")
    return 0


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError:
        return None


def _read_egress(path: Path, found: summary.Summary) -> None:
    """The log of the egress's pod; what is no line of a request is left out."""
    found.leaving.logged = True
    with path.open("rb") as file:
        for text in file:
            if line := line_of(text):
                found.leaving.sent(line, str(line["time"]) in found.period)


def _period(text: str) -> Period:
    try:
        return Period.of(text)
    except ValueError as error:
        raise ValueError(f"--period {error}") from None


def _network(text: str) -> IPv4Network | IPv6Network:
    if "/" not in text:
        raise ValueError(
            f"--inside {text!r} is no network: give one like 10.244.0.0/16, or what `slm boundary networks` prints"
        )
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f"--inside {text!r} is no network: {error}") from None


def _progress(found: list[Chain]) -> Any:
    """A bar on the terminal, where there is one."""
    return track(found, "checking records", console=Console(stderr=True), disable=not sys.stderr.isatty())


def _checked(chain: Chain, found: summary.Summary, keys: list[str]) -> summary.Chain:
    head = chain.head()  # before the rest: a chain in use grows meanwhile
    history, began = History(), ""

    def seen(record: Record) -> None:
        nonlocal began
        began = began or str(record.body.get("time", ""))
        found.add(record)
        history.add(record)

    verifier = Verifier(keys, seen=seen)
    through(verifier, chain)
    place = chain.folder.parent.name if chain.folder.name == "audit" else chain.folder.name
    return summary.Chain(place, verifier.finish(head), history, began)


def _signer(path: Path) -> Signer:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(
            f"{path} holds no private Ed25519 key without a password; make one, in a file of its own: "
            "openssl genpkey -algorithm ed25519 -out report-key.pem"
        )
    return Signer(key.private_bytes_raw())


def _show(value: dict[str, Any]) -> None:
    good, sentence = summary.verdict(value)
    console = stdout()
    console.print(sentence, style="green" if good else "red", markup=False)
    period, left = value["period"], value["left"]
    print(f"{period['since']} to before {period['until']} (UTC): {value['total']['requests']} requests")
    if left["judged"]:
        print(f"left the cluster: {left['requests']} requests, {left['bytes']} bytes")
    else:
        print("addresses not compared with the cluster's networks: give --inside (`slm boundary networks` prints it)")
    for item in left["destinations"]:
        print(f"  {item['address']}: {item['requests']} requests, {item['bytes']} bytes")
    _show_passed(value["passed"])
    _show_network(value)
    table = Table(box=None, pad_edge=False)
    for title in ("MODEL", "CALLER", "REQUESTS", "ANSWERED", "REFUSED", "FAILED", "GIVEN UP"):
        table.add_column(title, overflow="fold")
    for use in value["uses"]:
        names = ("requests", "answered", "refused", "failed", "left")
        texts = (use["model"] or "-", use["caller"] or "-", *(str(use[name]) for name in names))
        table.add_row(*(Text(plain(text)) for text in texts))  # no markup: it is what records say
    console.print(table)
    for gateway in value["gateways"]:
        state = "intact" if gateway["intact"] else f"{len(gateway['faults'])} FAULT(S)"
        print(
            f"{gateway['place']}: {state}: records {gateway['first']} to {gateway['last']}, "
            f"{gateway['finished']} requests by Envoy's count, {gateway['missing']} missing, {gateway['surplus']} too "
            f"many; head {gateway['head']}"
        )
        for fault in gateway["faults"]:
            print(plain(f"  {fault}"))


def _show_passed(passed: dict[str, Any]) -> None:
    """What left through the egress; nothing where nothing did and no log of it was given."""
    egress = passed["egress"]
    if not passed["requests"] and not egress["given"] and not passed["unmatched"]:
        return
    said = "its log was not given (--egress)"
    if egress["given"]:
        said = f"its log has {egress['sent']} that went to a host, and {egress['refused']} refused"
    print(f"left through the egress: {passed['requests']} requests, {passed['bytes']} bytes; {said}")
    for item in passed["targets"]:
        print(
            plain(f"  {item['target']}: {item['requests']} requests, {item['bytes']} bytes, {item['sent']} in the log")
        )
    print(f"unmatched: {passed['unmatched']}")
    for item in passed["listed"]:
        print(plain(f"  {item['time']} {item['id']} {item['target']}: {item['why']}"))


def _show_network(value: dict[str, Any]) -> None:
    print(f"policies enforced by the network: {_shares(value['enforcement'])}")
    for gateway in value["gateways"]:
        said = gateway["enforcement"]
        print(f"  recorded by {gateway['place']}: {_shares(said['seconds'])}")
        if said["older"]:
            print(f"    ({said['older']} older findings: -o json has them with a shorter --period)")
        for row in said["findings"]:
            what = "; ".join(row["through"]) or row["reason"] or row["message"]
            print(f"    {row['since']} to {row['until']}: {WORDS[row['status']]}: {what}")


def _shares(seconds: dict[str, int]) -> str:
    return ", ".join(f"{word} {summary.share(seconds, what)}" for what, word in SHARES)
