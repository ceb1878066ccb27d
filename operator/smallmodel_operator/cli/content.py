"""`slm content`: keep a request's texts encrypted, print them, erase a subject, check what is there. No cluster."""

import json
import re
import secrets
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from smallmodel_operator.audit.content.keyring import Keyring
from smallmodel_operator.audit.content.sealed import Form, Sealed, opened, seal
from smallmodel_operator.audit.content.state import ERASURE, State, state
from smallmodel_operator.audit.record import Kind
from smallmodel_operator.cli import content_keys, route_check
from smallmodel_operator.cli.audit_words import plain
from smallmodel_operator.cli.content_gateway import Claims
from smallmodel_operator.cli.content_store import CONTENT, RECORDS, Store, Unusable, locked, ring_of, write_ring
from smallmodel_operator.routing.detect.decide import compiled
from smallmodel_operator.routing.detect.patterns import SECRETS
from smallmodel_operator.routing.detect.redact import to_keep
from smallmodel_operator.routing.detect.request import Unread
from smallmodel_operator.routing.detect.scanner import BadPattern, Scanner, Undecided

NOTHING_THERE, UNUSABLE = 1, 2
_REQUEST = re.compile(r"[!-~]{1,128}", re.ASCII)


def guarded(action: Callable[[], int]) -> int:
    """Its exit code; 2 and a sentence where nothing can be done."""
    try:
        return action()
    except Unusable as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename or 'A file'} cannot be used: {error.strerror or error}.", file=sys.stderr)
    return UNUSABLE


def keep(name: str, request: str, subject: str, form: Form, policy: str, folder: Path, keys: Path) -> int:
    """Seal what may be kept of a request's body; nothing is written of one that is not understood."""
    if not _REQUEST.fullmatch(request):
        raise Unusable("--request is an id of 1 to 128 ASCII characters, without blanks.")
    plain = _texts(name, form, policy)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(keys):
        store = _sound(folder)
        if request in store.lines:
            raise Unusable(f"Content of request {request} is kept already: give another --request.")
        ring = ring_of(keys)
        if ring is None and store.records:
            raise Unusable(f"{keys} is not there, and {folder} has content under keys of such a file: give that one.")
        if ring is not None and store.kept and len(_unknown(ring, store)) == len(store.kept):
            raise Unusable(f"{keys} has no key of what {folder} has: it is the file of another folder.")
        ring = ring or Keyring.new(secrets.token_bytes)
        ring, key = ring.keyed(_pseudonym(ring, subject), secrets.token_bytes)
        if key.name in store.erased:
            raise Unusable(f"Key {key.name} was erased and is back in {keys}: run `slm content erase` for it first.")
        write_ring(keys, ring)
        sealed = seal(plain, request, form, key, secrets.token_bytes)
        store.keep(sealed, _now())
    print(json.dumps(sealed.reference()))
    return 0


def show(request: str, folder: Path, keys: Path | None, system: str) -> int:
    """Print the texts that were kept, a line of JSON each."""
    store, ring = _contents(folder), content_keys.ring(keys, system)
    found = next((body for body in store.kept if body.get("request.id") == request), None)
    if found is None:
        print(f"{folder} has no content of request {request}.", file=sys.stderr)
        return NOTHING_THERE
    line, erased = store.line(found), store.erased
    how = state(found, line, ring, erased)
    if line is None or how is not State.READABLE:
        since = f" since {erased[str(found['slm.content.key'])]}" if how is State.ERASED else ""
        print(plain(f"{request}: {how.value}{since}."), file=sys.stderr)
        return NOTHING_THERE
    sealed = Sealed.read(line)
    for text in json.loads(opened(sealed, ring.keys[sealed.key])):
        print(json.dumps(text, ensure_ascii=False))
    return 0


def erase(subject: str, folder: Path, keys: Path, yes: bool, output: str) -> int:
    """Destroy a subject's keys, then write the record of it; without `yes`, say what would be."""
    with locked(keys):
        store, ring = _sound(folder), _ring(keys)
        pseudonym = _pseudonym(ring, subject)
        now = _now()
        after = ring.without(pseudonym, now)
        names = sorted(stone.name for stone in after.tombstones(pseudonym) if _due(stone.name, ring, store))
        if not names and (unknown := _unknown(ring, store)):
            raise Unusable(
                f"Nothing was erased: {keys} has no key of this subject, and none of {len(unknown)} request(s)"
                f" in {folder}, which may be the subject's. Give the file that has them."
            )
        requests = [str(body["request.id"]) for body in store.kept if body.get("slm.content.key") in names]
        if yes and names:
            write_ring(keys, after)
            store.note(
                {"kind": Kind.NOTE.value, "event": ERASURE, "time": now, "slm.subject": pseudonym}
                | {"keys": ",".join(names)}
            )
    value = {"subject": pseudonym, "keys": names, "requests": requests, "erased": bool(yes and names)}
    print(json.dumps(value) if output == "json" else _told(pseudonym, names, requests, yes))
    return 0 if names else NOTHING_THERE


def _due(key: str, ring: Keyring, store: Store) -> bool:
    """It is there, or its erasure was broken off before its record."""
    return key in ring.keys or key not in store.erased


def _unknown(ring: Keyring, store: Store) -> list[str]:
    """Requests whose key is neither there nor erased: it may be in another file."""
    known = {*ring.keys, *ring.erased, *store.erased}
    return [str(body.get("request.id")) for body in store.kept if body.get("slm.content.key") not in known]


def _told(subject: str, keys: list[str], requests: list[str], yes: bool) -> str:
    if not keys:
        return f"No key of subject {subject} is there: nothing to erase."
    what = f"{len(keys)} key(s) of subject {subject} and with them the content of {len(requests)} request(s)"
    return f"Erased: {what}." if yes else f"To be erased: {what}. Nothing was done; --yes does it, for ever."


def verify(folder: Path, keys: Path | None, system: str, output: str) -> int:
    """Print what is there of all content; 0: it is as it should be, 1: something is not."""
    store, ring = _contents(folder), content_keys.ring(keys, system)
    if not store.number and not store.strays() and not store.faults:
        raise Unusable(f"{folder} has no records.")
    erased = store.erased
    states = [(str(body.get("request.id")), state(body, store.line(body), ring, erased)) for body in store.kept]
    faults = [*store.faults, *(f"Content of {one} lies there, and no record tells of it." for one in store.strays())]
    faults += [f"{request}: {how.value}." for request, how in states if not how.good]
    counts = dict(sorted(Counter(how.value for _, how in states).items()))
    if output == "json":
        value = {"records": store.number, "content": counts, "faults": faults}
        print(json.dumps({**value, "requests": [{"request": name, "state": how.value} for name, how in states]}))
    else:
        said = ", ".join(f"{number} {name}" for name, number in counts.items()) or "no content"
        print("\n".join(map(plain, [f"{store.number} records: {said}.", *faults])))
    return 1 if faults else 0


def _texts(name: str, form: Form, policy: str) -> bytes:
    try:
        if form is Form.FULL and policy:
            raise Unusable("--policy says what is redacted: with --form Full only secrets are, leave it out.")
        rules = compiled(route_check.policy_of(policy))
        if rules.missing:
            raise Unusable(f"`detectors`: {', '.join(rules.missing)} need a recognizer, which is not asked here.")
        scanner = Scanner((SECRETS,)) if form is Form.FULL else rules.scanner
        return to_keep(route_check.body_of(name), scanner, rules.policy.most_bytes)
    except (route_check.Unusable, BadPattern) as error:
        raise Unusable(str(error)) from None
    except (Unread, Undecided) as error:
        raise Unusable(f"Nothing of {name} is kept, for what is in it cannot be told: {error.args[0]}.") from None


def _contents(folder: Path) -> Store | Claims:
    """A folder of `slm content keep`, or of gateways' claims."""
    own = (folder / RECORDS).exists() or (folder / CONTENT).exists() or not folder.exists()
    return Store.load(folder) if own or not any(folder.iterdir()) else Claims.load(folder)


def _sound(folder: Path) -> Store:
    store = Store.load(folder)
    if store.faults:
        raise Unusable(f"{folder} is damaged, and nothing is added to it: {store.faults[0]}")
    return store


def _ring(keys: Path) -> Keyring:
    ring = ring_of(keys)
    if ring is None:
        raise Unusable(f"{keys} is not there.")
    return ring


def _pseudonym(ring: Keyring, subject: str) -> str:
    try:
        return ring.pseudonym(subject)
    except ValueError as error:
        raise Unusable(f"--subject: {error}.") from None


def _now() -> str:
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
