"""Inside an inspection Job: are the mounted weights the ones that were signed? OpenSSF model-signing, with a plain key.

The library is imported here only, and only when a signature is asked for: it brings the whole of sigstore with it,
which a key that lies in a Secret needs nothing of. It reads files and no network.
"""

import ast
import base64
import hashlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.weights.refusal import BadWeights

SIGNATURE: Final = "model.sig"
"""Name of the signature in the folder it was made over: the tool's own choice."""
MAX_SIGNATURE: Final = 16 * 2**20
"""Bytes of a signature; it holds some hundred for each file."""
PROGRESS_SECONDS: Final = 15.0
MAX_NAMED: Final = 4
AGAIN: Final = "Copy the whole signed folder again, or sign what is meant to be served."
EXTRA: Final = "Extra files found in model"
MISSING: Final = "Missing files in model"
CHANGED: Final = "Hash mismatch for '"
MISMATCH: Final = "Signature mismatch: "


@dataclass(frozen=True, slots=True)
class Wish:
    """What weights must be signed by: `reference` is NAME/KEY of the Secret, `key` where the kubelet mounted it."""

    reference: str
    key: Path


def verify(file: Path, root: Path, wish: Wish) -> str:
    """Check every file of the folder the signature was made over; returns the key's fingerprint.

    `file` is the weights, `root` the volume they lie in. The signature nearest above the weights counts.

    Raises:
        BadWeights: no key, no signature, another key's, or a folder that is not the one that was signed.
    """
    fingerprint = _fingerprint(wish)
    signature = _signature(file, root)
    folder = signature.parent
    with _progress(folder):
        _check(folder, signature, wish)
    name = file.relative_to(folder).as_posix()
    if name not in _signed_names(signature):
        # A signer may leave paths out; the weights must not be among them.
        raise BadWeights(
            Reason.FILE_NOT_SIGNED, f"`{name}` is not among the files that `{_shown(signature, root)}` signs. {AGAIN}"
        )
    return fingerprint


def _fingerprint(wish: Wish) -> str:
    name, _, entry = wish.reference.partition("/")
    where = f"Secret {name!r}, entry {entry!r} (`spec.source.verification.publicKeySecretRef`)"
    if not wish.key.exists():
        raise BadWeights(
            Reason.SECRET_NOT_FOUND,
            f"{where}, is not in this namespace. Create it: `kubectl create secret generic {name} "
            f"--from-file={entry}=release.pub`.",
        )
    try:
        key = serialization.load_pem_public_key(wish.key.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise BadWeights(
            Reason.SECRET_INVALID,
            f"{where}, holds no public key in PEM. `openssl ec -in release.key -pubout` writes it.",
        ) from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadWeights(Reason.SECRET_INVALID, f"{where}, holds no elliptic curve key; model-signing uses P-256.")
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _signature(file: Path, root: Path) -> Path:
    folder = file.parent
    while True:
        found = folder / SIGNATURE
        if found.is_file():
            break
        if folder in (root, folder.parent):
            raise BadWeights(
                Reason.SIGNATURE_MISSING,
                f"There is no `{SIGNATURE}` beside `{_shown(file, root)}` nor above it in the source. Sign the folder "
                f"(`model_signing sign key FOLDER --private_key release.key --signature FOLDER/{SIGNATURE}`) and copy "
                "the signature with it.",
            )
        folder = folder.parent
    if found.stat().st_size > MAX_SIGNATURE:
        raise _invalid(found, root, f"it is larger than {MAX_SIGNATURE // 2**20} MiB")
    return found


def _check(folder: Path, signature: Path, wish: Wish) -> None:
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    try:
        verifying.Config().use_elliptic_key_verifier(public_key=wish.key).verify(folder, signature)
    except OSError:
        raise
    except InvalidSignature:
        raise _invalid(signature, folder, f"the key in Secret {wish.reference} did not make it") from None
    except ValueError as error:
        _judge(str(error), signature, wish)
    except Exception as error:  # whatever a damaged signature leads the library to
        raise _invalid(signature, folder, f"it cannot be read ({type(error).__name__})") from None


def _judge(said: str, signature: Path, wish: Wish) -> None:
    """The library says in words what is wrong; the first kind there is decides the reason. A test holds it to them.

    Nothing is wrong when all it found is the signature itself: who signs a folder from outside leaves it unnamed.
    """
    if said.startswith("Key mismatch"):
        raise BadWeights(
            Reason.SIGNING_KEY_MISMATCH,
            f"`{signature.name}` was made with another key than the one in Secret {wish.reference}. Put the signer's "
            "public key there, or have the weights signed with yours.",
        )
    if "because it is a symlink" in said:
        raise BadWeights(
            Reason.FILE_NOT_SIGNED, "The signed folder holds a symbolic link, which may lead anywhere. Copy the files."
        )
    if not said.startswith(MISMATCH):
        raise _invalid(signature, signature.parent, "it is no signature of model-signing, or damaged")
    differences = ast.literal_eval(said.removeprefix(MISMATCH))
    for mark, reason, what in (
        (EXTRA, Reason.FILE_NOT_SIGNED, "was not signed"),
        (MISSING, Reason.SIGNED_FILE_MISSING, "was signed and is not in the source"),
        (CHANGED, Reason.SIGNED_FILE_CHANGED, "is not the file that was signed"),
    ):
        if names := [n for d in differences for n in _names(d, mark) if n != SIGNATURE]:
            more = f" (and {len(names) - MAX_NAMED} more)" if len(names) > MAX_NAMED else ""
            listed = ", ".join(f"`{n[:80]}`" for n in names[:MAX_NAMED])
            raise BadWeights(reason, f"{listed}{more} {what}. {AGAIN}")


def _names(difference: str, mark: str) -> list[str]:
    """Files one difference names."""
    if not difference.startswith(mark):
        return []
    if mark == CHANGED:
        return [difference.removeprefix(mark).rpartition(", Actual ")[0].rpartition("': Expected ")[0]]
    return difference.partition("': ")[2].split(", ")


def _signed_names(signature: Path) -> set[str]:
    """Names in a signature that was found right."""
    envelope = json.loads(signature.read_text())["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    predicate = statement.get("predicate", {})
    described = predicate.get("resources") or statement.get("subject", [])
    shards = predicate.get("serialization", {}).get("method") == "shards"
    return {d["name"].rsplit(":", 2)[0] if shards else d["name"] for d in described}


def _invalid(signature: Path, root: Path, why: str) -> BadWeights:
    return BadWeights(
        Reason.SIGNATURE_INVALID, f"`{_shown(signature, root)}` is not right: {why}. Copy it again, or sign again."
    )


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


@contextmanager
def _progress(folder: Path) -> Iterator[None]:
    """Says every while that all is still being read: 20 GB take minutes."""
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    begun, done = time.monotonic(), threading.Event()

    def tell() -> None:
        while not done.wait(PROGRESS_SECONDS):
            print(f"checking {size} signed bytes for {time.monotonic() - begun:.0f} s", flush=True)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        print(f"checked {size} bytes against the signature in {time.monotonic() - begun:.1f} s", file=sys.stderr)
