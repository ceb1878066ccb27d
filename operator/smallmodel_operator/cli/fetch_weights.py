"""`slm fetch-weights`: the download Job. One HTTPS file into the claim, checked, then described."""

import errno
import fcntl
import http.client
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import urlsplit

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import OPERATOR
from smallmodel_operator.cli.inspect_weights import MESSAGE_FILE, check, read, tell
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.core.units import human
from smallmodel_operator.weights import gguf, result
from smallmodel_operator.weights.source import DOWNLOADED

HTTPS_PORT: Final = 443
CHUNK: Final = 2**20
TIMEOUT: Final = 60.0
MAX_BYTES: Final = 200 * 2**30
"""No model of this operator is larger; a server that sends for ever must not fill the claim."""
PROGRESS_SECONDS: Final = 15.0
KEEP_FREE: Final = 64 * 2**20


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """A redirect to anything but https is refused, and one to a port that the NetworkPolicy does not let out to."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        if not newurl.startswith("https://"):
            raise gguf.BadWeights(
                Reason.DOWNLOAD_FAILED, f"The server redirects to {newurl[:120]!r}, which is not https."
            )
        port = _port(newurl)
        if port not in (HTTPS_PORT, _port(req.full_url)):
            raise gguf.BadWeights(
                Reason.DOWNLOAD_FAILED,
                f"The server redirects to port {port} of {urlsplit(newurl).hostname}; a download reaches the port in "
                "`spec.source.uri` and 443 only. Name the address it redirects to.",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _port(url: str) -> int:
    return urlsplit(url).port or HTTPS_PORT


@dataclass(frozen=True, slots=True)
class Download:
    """One file to fetch. `claim` is the uid of the claim the folder lies in; `ca_file` names further authorities."""

    url: str
    sha256: str
    folder: str
    artifact: str
    claim: str = ""
    ca_file: str = ""

    @property
    def target(self) -> Path:
        return Path(self.folder) / DOWNLOADED

    @property
    def host(self) -> str:
        """The server, without the path: addresses may carry tokens in their query."""
        return self.url.split("/")[2]


def fetch(wish: Download, message_file: Path = MESSAGE_FILE) -> int:
    """Download unless it is there, check, describe; the exit code says whether trying again may help."""
    target = wish.target
    try:
        if not wish.url.startswith("https://"):
            raise gguf.BadWeights(Reason.DOWNLOAD_FAILED, "Only https:// addresses are downloaded.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with (target.parent / ".lock").open("w") as lock:
            _take(lock)
            if not target.exists():
                _download(wish)
        said: WeightsFacts | result.Failure = replace(read(target, wish.artifact, DOWNLOADED), claim=wish.claim)
    except gguf.BadWeights as bad:
        said = result.Failure(bad.reason, bad.message)
    except urllib.error.HTTPError as error:
        said = _http_failure(wish, error)
    except ssl.SSLCertVerificationError as error:
        said = _untrusted(error)
    except (urllib.error.URLError, TimeoutError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            said = _untrusted(reason)
        else:
            said = result.Failure(
                Reason.DOWNLOAD_FAILED,
                f"The download from {wish.host} failed: {reason or type(error).__name__}. If it goes on, check that "
                "the address is right and that pods may reach it.",
                passing=True,
            )
    except OSError as error:
        said = _disk_failure(error)
    return tell(said, message_file)


def _take(lock: TextIO) -> None:
    """Hold the folder's lock: two pods that want the same file download it once."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another pod downloads the same file; waiting for it", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _download(wish: Download) -> None:
    """Fetch into a temporary file beside the target, check it, move it into place.

    What an earlier try left is continued. When the sum is off that may be because the file at the server has changed
    since, so a continued download is begun anew once before the server is blamed.
    """
    part = wish.target.with_suffix(".part")
    continued = _fetch_rest(wish, part)
    try:
        check(part, wish.sha256)
    except gguf.BadWeights:
        part.unlink(missing_ok=True)
        if not continued:
            raise
        print("what an earlier try left does not belong to this file; beginning anew", flush=True)
        return _download(wish)
    part.chmod(0o644)
    part.rename(wish.target)
    _sync(part.parent)
    return None


def _fetch_rest(wish: Download, part: Path) -> bool:
    """Complete the temporary file; True when bytes of an earlier try are in it."""
    have = part.stat().st_size if part.exists() else 0
    # The scheme is https: `fetch` checked it, and redirects elsewhere are refused.
    request = urllib.request.Request(wish.url, headers={"User-Agent": OPERATOR})  # noqa: S310
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        secure = urllib.request.HTTPSHandler(context=_trust(wish.ca_file))
        answer = urllib.request.build_opener(_OnlyHttps, secure).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:
            return True  # nothing is left to fetch; the sum decides whether it is the whole file
        raise
    with answer:
        begin = have if answer.status == 206 else 0
        total = int(answer.headers.get("Content-Length") or 0) + begin
        _room(part, total - begin)
        _copy(answer, part, begin, total)
    return begin > 0


def _trust(ca_file: str) -> ssl.SSLContext:
    """The authorities of the image (or of SSL_CERT_FILE), and the given ones; the file may not be there yet."""
    context = ssl.create_default_context()
    if ca_file and Path(ca_file).exists():
        try:
            context.load_verify_locations(ca_file)
        except ssl.SSLError as error:
            raise gguf.BadWeights(
                Reason.DOWNLOAD_FAILED,
                "`ca.crt` in the ConfigMap of authorities (SLM_CA_CONFIG_MAP) is not a PEM certificate.",
            ) from error
    return context


def _copy(answer: Any, part: Path, done: int, total: int) -> None:
    told, percent = time.monotonic(), -5
    with part.open("ab" if done else "wb") as out:
        while block := answer.read(CHUNK):
            out.write(block)
            done += len(block)
            if done > MAX_BYTES:
                raise gguf.BadWeights(
                    Reason.DOWNLOAD_FAILED, f"The file is larger than {human(MAX_BYTES)}; it is refused."
                )
            now = 100 * done // total if total else 0
            if now >= percent + 5 or time.monotonic() - told > PROGRESS_SECONDS:
                told, percent = time.monotonic(), now
                print(f"downloaded {human(done)}{f' of {human(total)} ({now} %)' if total else ''}", flush=True)
        out.flush()
        os.fsync(out.fileno())
    if total and done < total:
        raise urllib.error.URLError(f"the connection ended after {done} of {total} bytes")


def _room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free - KEEP_FREE:
        raise OSError(errno.ENOSPC, f"{human(needed)} are needed and {human(free)} are free")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _http_failure(wish: Download, error: urllib.error.HTTPError) -> result.Failure:
    passing = error.code >= 500 or error.code in (408, 425, 429)
    hint = "" if passing else " Correct `spec.source.uri`."
    return result.Failure(Reason.DOWNLOAD_FAILED, f"{wish.host} answers {error.code} {error.reason}.{hint}", passing)


def _untrusted(error: ssl.SSLCertVerificationError) -> result.Failure:
    said = f"The server's certificate is not accepted: {error.verify_message.rstrip('.')}."
    if "mismatch" not in said:
        said += (
            " For a private authority put its certificate as `ca.crt` into the ConfigMap the operator is told of "
            "(SLM_CA_CONFIG_MAP) in this namespace."
        )
    return result.Failure(Reason.DOWNLOAD_FAILED, said)


def _disk_failure(error: OSError) -> result.Failure:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return result.Failure(
            Reason.DOWNLOAD_FAILED,
            f"The claim `smallmodel-weights` is full: {error.strerror}. Enlarge it, or delete folders in it that no "
            "SmallModel uses.",
        )
    return result.Failure(Reason.DOWNLOAD_FAILED, f"The download failed: {error}.", passing=True)
