"""One HTTPS request of a download: which redirects are followed, whom it trusts, and what each failure is."""

import http.client
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import OPERATOR
from smallmodel_operator.weights import download
from smallmodel_operator.weights.result import Failure

HTTPS_PORT: Final = 443
ERROR_BYTES: Final = 4096
_WORD: Final = re.compile(r"[A-Za-z]{1,64}")
_CODE: Final = re.compile(rb"<Code>([A-Za-z]{1,64})</Code>")


class Trouble(Exception):  # noqa: N818 - it may pass
    """A download that cannot go on for now, or not at all.

    `status`: of the answer that says so, 0 where there was none; `challenge`: how it wants to be shown who asks.
    """

    def __init__(self, failure: Failure, status: int = 0, challenge: str = "") -> None:
        super().__init__(failure.message)
        self.failure, self.status, self.challenge = failure, status, challenge


Show = Callable[[str], Mapping[str, str]]
"""What to show at an address: made anew for each request, for a signature is of a moment."""


def nothing(_: str) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """An address and how to ask there. `show`: headers for this one host, never sent on to another."""

    url: str
    ca_file: str = ""
    show: Show = field(default=nothing, repr=False)

    @property
    def host(self) -> str:
        """The server, without the path: addresses may carry tokens in their query."""
        return urlsplit(self.url).netloc


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """A redirect to anything but https is refused, and one to a port that the NetworkPolicy does not let out to."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        if not newurl.startswith("https://"):
            raise _refused(f"The server redirects to {_short(newurl)!r}, which is not https.")
        port = _port(newurl)
        if port not in (HTTPS_PORT, _port(req.full_url)):
            raise _refused(
                f"The server redirects to port {port} of {urlsplit(newurl).hostname}; a download reaches the port in "
                "`spec.source.uri` and 443 only. Name the address it redirects to."
            )
        # What may not leave the host is in `unredirected_hdrs`, which this copy leaves out.
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None and _server(newurl) == _server(req.full_url):
            made.unredirected_hdrs.update(_secrets(req))
        return made


def open_url(wanted: Wanted, headers: Mapping[str, str], timeout: float) -> Any:
    """The answer, after redirects: 200, 206 or 416.

    Raises:
        Trouble: anything else.
    """
    if not wanted.url.startswith("https://"):
        raise _refused("Only https:// addresses are downloaded.")
    # Bytes of a compressed copy are not those of the file.
    plain = {"User-Agent": OPERATOR, "Accept-Encoding": "identity", **headers}
    # The scheme is https: it was checked, and redirects elsewhere are refused.
    asked = urllib.request.Request(wanted.url, headers=plain)  # noqa: S310
    for name, value in wanted.show(wanted.url).items():
        asked.add_unredirected_header(name, value)
    try:
        secure = urllib.request.HTTPSHandler(context=trust(wanted.ca_file))
        return urllib.request.build_opener(_OnlyHttps, secure).open(asked, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416 and "Range" in headers:
            return error
        with error:
            wait = download.retry_after(error.headers.get("Retry-After") or "", datetime.now(UTC))
            answering = urlsplit(error.url or wanted.url).netloc
            challenge = ", ".join(error.headers.get_all("WWW-Authenticate") or ())
            said = download.refused(answering, error.code, str(error.reason), wait, _word(error))
            raise Trouble(said, error.code, challenge) from error
    except urllib.error.URLError as error:
        raise Trouble(_unreachable(wanted.host, error.reason)) from error
    except TimeoutError as error:
        raise Trouble(stalled(wanted.host, timeout)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Trouble(_unreachable(wanted.host, error)) from error


def head(answer: Any) -> download.Answer:
    """What the answer says of itself."""
    length = answer.headers.get("Content-Length") or ""
    return download.Answer(
        answer.status,
        int(length) if length.isascii() and length.isdecimal() and len(length) < 17 else 0,
        answer.headers.get("Content-Range") or "",
        answer.headers.get("ETag") or "",
    )


def read(host: str, answer: Any, most: int) -> bytes:
    """What came, as soon as something came; empty at the end.

    Raises:
        Trouble: the connection broke off, or nothing came for too long.
    """
    try:
        return bytes(answer.read1(most))
    except TimeoutError as error:
        raise Trouble(stalled(host, 0)) from error
    except (OSError, http.client.HTTPException) as error:
        message = f"The connection to {host} broke off: {error or type(error).__name__}."
        raise Trouble(Failure(Reason.SOURCE_UNREACHABLE, message, passing=True)) from error


def stalled(host: str, seconds: float) -> Failure:
    """It is there and sends next to nothing."""
    time = f" for {seconds:.0f} s" if seconds else ""
    return Failure(Reason.SOURCE_STALLED, f"{host} sends nothing, or next to nothing{time}.", passing=True)


def dropped(host: str, done: int, total: int) -> Failure:
    """The connection ended before the file did."""
    message = f"The connection to {host} ended after {done} of {total} bytes."
    return Failure(Reason.SOURCE_UNREACHABLE, message, passing=True)


def trust(ca_file: str) -> ssl.SSLContext:
    """The authorities of the image (or of SSL_CERT_FILE), and the given ones; the file may not be there yet."""
    context = ssl.create_default_context()
    if ca_file and Path(ca_file).exists():
        try:
            context.load_verify_locations(ca_file)
        except ssl.SSLError as error:
            raise Trouble(
                Failure(
                    Reason.SOURCE_UNTRUSTED,
                    "`ca.crt` in the ConfigMap of authorities (SLM_CA_CONFIG_MAP) is not a PEM certificate.",
                )
            ) from error
    return context


def _unreachable(host: str, why: object) -> Failure:
    if isinstance(why, ssl.SSLCertVerificationError):
        return _untrusted(host, why)
    said = str(why).rstrip(".") or type(why).__name__
    return Failure(
        Reason.SOURCE_UNREACHABLE,
        f"{host} cannot be reached{_through(host)}: {said}. If it goes on, check that the address is right and that "
        "pods may reach it.",
        passing=True,
    )


def _through(host: str) -> str:
    """The proxy that stands between, as urllib finds it in the environment."""
    proxy = urllib.request.getproxies().get("https", "")
    return "" if not proxy or urllib.request.proxy_bypass(host) else f" through the proxy {urlsplit(proxy).netloc}"


def _word(error: urllib.error.HTTPError) -> str:
    """The server's own word for it: a hub's in a header, an S3 store's in its XML."""
    word = error.headers.get("X-Error-Code") or ""
    if word:
        return word if _WORD.fullmatch(word) else ""
    with suppress(OSError, http.client.HTTPException):
        found = _CODE.search(error.read(ERROR_BYTES))
        return found[1].decode() if found else ""
    return ""


def _untrusted(host: str, error: ssl.SSLCertVerificationError) -> Failure:
    said = f"The certificate of {host} is not accepted: {error.verify_message.rstrip('.')}."
    if "mismatch" not in said:
        said += (
            " For a private authority put its certificate as `ca.crt` into the ConfigMap the operator is told of "
            "(SLM_CA_CONFIG_MAP) in this namespace."
        )
    return Failure(Reason.SOURCE_UNTRUSTED, said)


def _refused(message: str) -> Trouble:
    return Trouble(Failure(Reason.DOWNLOAD_FAILED, message))


def _short(url: str) -> str:
    """Without the path and the query, which may hold a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc[:100]}"


def _port(url: str) -> int:
    return urlsplit(url).port or HTTPS_PORT


def _server(url: str) -> tuple[str | None, int]:
    return urlsplit(url).hostname, _port(url)


def _secrets(req: urllib.request.Request) -> dict[str, str]:
    """Headers for one host only; urllib keeps its own `Host` among them, which is of the old address."""
    return {name: value for name, value in req.unredirected_hdrs.items() if name != "Host"}
