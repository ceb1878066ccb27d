"""What a download shows its source, from a Secret that the kubelet mounts."""

import base64
from pathlib import Path
from urllib.parse import urlsplit

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.request import Show, Trouble
from smallmodel_operator.weights.result import Failure


def headers(folder: Path, secret: str) -> Show:
    """`token` as a bearer's, or `username` and `password`.

    Raises:
        Trouble: the Secret is not there, or holds neither.
    """
    token, user, password = (_entry(folder, name) for name in ("token", "username", "password"))
    if token:
        bearer = {"Authorization": f"Bearer {_clean(token, secret, 'token')}"}
        return lambda _: bearer
    if user and password:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return lambda _: {"Authorization": f"Basic {pair}"}
    raise _missing(secret, "neither `token` nor `username` and `password`")


def signed(folder: Path, secret: str, region: str) -> Show:
    """AWS Signature Version 4 with `accessKeyId` and `secretAccessKey`, and `sessionToken` where there is one.

    Raises:
        Trouble: the Secret is not there, or holds no pair of keys.
    """
    # Memory that other downloads do not need.
    from requests import Request
    from requests_aws4auth import AWS4Auth

    key, hidden, session = (_entry(folder, name) for name in ("accessKeyId", "secretAccessKey", "sessionToken"))
    if not key or not hidden:
        raise _missing(secret, "not both `accessKeyId` and `secretAccessKey`")
    for name, value in (("accessKeyId", key), ("sessionToken", session)):
        _clean(value, secret, name)

    def show(url: str) -> dict[str, str]:
        # Anew for each request, and with it the date: a signature is good for a quarter of an hour.
        sign = AWS4Auth(key, hidden, region, "s3", **({"session_token": session} if session else {}))
        made = sign(Request("GET", url, headers={"Host": urlsplit(url).netloc}).prepare())
        return {name: str(value) for name, value in made.headers.items()}

    return show


def _missing(secret: str, lacks: str) -> Trouble:
    where = f"Secret {secret!r} (`spec.source.credentialsSecretRef`)"
    message = f"{where} does not exist in this namespace, or has {lacks}."
    return Trouble(Failure(Reason.SECRET_NOT_FOUND, message))


def _entry(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _clean(word: str, secret: str, entry: str) -> str:
    """A word that may stand in a header."""
    if word.isascii() and word.isprintable() and " " not in word:
        return word
    raise Trouble(Failure(Reason.SECRET_INVALID, f"`{entry}` in Secret {secret!r} is not one line without spaces."))
