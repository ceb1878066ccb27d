"""A container registry's HTTP API, the part a copy needs: manifests, addresses of blobs, and the login it asks for."""

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli import request
from smallmodel_operator.cli.request import HTTPS_PORT, Trouble, Wanted
from smallmodel_operator.weights import image, pull_secret
from smallmodel_operator.weights.result import Failure

T = TypeVar("T")
MAX_TOKEN: Final = 2**20
TOKEN_SECONDS: Final = 60.0
"""How long a token is good for where its maker does not say (the distribution project's token protocol)."""
_SAID: Final = re.compile(r'\b(realm|service)="([^"]{1,1024})"')


class Registry:
    """One repository. `logins`: folder of pull secrets (`*.json`), or files, each as a dockerconfigjson Secret has it.
    `actions`: what a token is asked for.
    """

    def __init__(
        self,
        name: image.Name,
        ca_file: str,
        logins: Path | tuple[Path, ...],
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        actions: str = "pull",
    ) -> None:
        self._name, self._ca_file, self._timeout, self._clock = name, ca_file, timeout, clock
        self._logins, self._actions = logins, actions
        self._shown, self._until, self._renewed_at = "", 0.0, ""
        self.host = urlsplit(name.endpoint).netloc

    def manifest(self, reference: str) -> tuple[str, bytes]:
        """Digest and bytes of what a tag or a digest names.

        Raises:
            Trouble: the registry does not give it, or gives something else than the digest names.
        """
        wanted = self._at(f"manifests/{reference}")
        data = self.ask(lambda: self._read(wanted, {"Accept": image.ACCEPT}, image.MAX_MANIFEST))
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if reference.startswith("sha256:") and digest != reference:
            raise Trouble(image.lies(self.host, reference, digest))
        return digest, data

    def blob(self, digest: str) -> Wanted:
        """Where a layer is; to be asked for within `ask`."""
        return self._at(f"blobs/{digest}")

    def ask(self, what: Callable[[], T]) -> T:
        """The answer to a question, asked once more with a login where the registry wants one.

        Raises:
            Trouble: it does not answer, and why, in words about images.
        """
        try:
            try:
                return what()
            except Trouble as trouble:
                if trouble.status != 401 or not self.log_in(trouble.challenge):
                    raise
            return what()
        except Trouble as trouble:
            said = image.refused(self.host, trouble.status, trouble.failure)
            raise Trouble(said, trouble.status, trouble.challenge) from trouble

    def _at(self, path: str) -> Wanted:
        return Wanted(f"{self._name.endpoint}/{path}", self._ca_file, self.show)

    def show(self, _: str) -> Mapping[str, str]:
        """What to show with a request, as far as a login is known."""
        if self._renewed_at and self._clock() >= self._until:
            self._token(self._renewed_at)
        return {"Authorization": self._shown} if self._shown else {}

    def log_in(self, challenge: str) -> bool:
        """Get what it wants to be shown; False where there is nothing that could be shown."""
        told = dict(_SAID.findall(challenge))
        if re.search(r"\bbearer\b", challenge, re.IGNORECASE) and "realm" in told:
            query = {"service": told["service"]} if "service" in told else {}
            query["scope"] = f"repository:{self._name.repository}:{self._actions}"
            self._token(f"{told['realm']}{'&' if '?' in told['realm'] else '?'}{urlencode(query)}")
            return True
        self._shown = self._basic()
        return bool(self._shown)

    def _token(self, url: str) -> None:
        port = urlsplit(url).port or HTTPS_PORT
        if port not in (HTTPS_PORT, urlsplit(self._name.endpoint).port or HTTPS_PORT):
            raise _failed(
                f"{self.host} sends for a token to port {port} of {urlsplit(url).hostname}; a download reaches the "
                "registry's port and 443 only."
            )
        basic = self._basic()
        shown = {"Authorization": basic} if basic else {}
        data = self._read(Wanted(url, self._ca_file, lambda _: shown), {}, MAX_TOKEN)
        try:
            found: Any = json.loads(data)
            token = found.get("token") or found["access_token"]
            seconds = found.get("expires_in")
        except (ValueError, KeyError, AttributeError, RecursionError):
            token, seconds = None, None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
            raise _failed(f"{urlsplit(url).netloc} gives no token.", passing=True)
        lasts = float(seconds) if type(seconds) is int and seconds > 0 else TOKEN_SECONDS
        self._shown, self._until, self._renewed_at = f"Bearer {token}", self._clock() + lasts * 0.8, url

    def _basic(self) -> str:
        files = sorted(self._logins.glob("*.json")) if isinstance(self._logins, Path) else self._logins
        texts = [_text(file) for file in files]
        try:
            pair = pull_secret.login(texts, self._name)
        except pull_secret.IdentityToken:
            raise Trouble(
                Failure(
                    Reason.SECRET_INVALID,
                    f"The pull secret for {self._name.host} holds an identity token, which is not supported here. Make "
                    "one with a user and a password (`kubectl create secret docker-registry`).",
                )
            ) from None
        return f"Basic {base64.b64encode(':'.join(pair).encode()).decode()}" if pair else ""

    def _read(self, wanted: Wanted, headers: Mapping[str, str], most: int) -> bytes:
        data = b""
        with request.open_url(wanted, headers, self._timeout) as answer:
            while piece := request.read(wanted.host, answer, 2**16):
                data += piece
                if len(data) > most:
                    raise _failed(f"{wanted.host} sends more than {most // 2**20} MiB where a document was asked for.")
        return data


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _failed(message: str, *, passing: bool = False) -> Trouble:
    reason = Reason.SOURCE_FAILING if passing else Reason.DOWNLOAD_FAILED
    return Trouble(Failure(reason, message, passing=passing))
