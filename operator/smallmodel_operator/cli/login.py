"""What a download shows its source, from a Secret that the kubelet mounts."""

import base64
from pathlib import Path

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.request import Trouble
from smallmodel_operator.weights.result import Failure


def headers(folder: Path, secret: str) -> dict[str, str]:
    """`token` as a bearer's, or `username` and `password`.

    Raises:
        Trouble: the Secret is not there, or holds neither.
    """
    token, user, password = (_entry(folder, name) for name in ("token", "username", "password"))
    if token:
        return {"Authorization": f"Bearer {_clean(token, secret)}"}
    if user and password:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    raise Trouble(
        Failure(
            Reason.SECRET_NOT_FOUND,
            f"Secret {secret!r} (`spec.source.credentialsSecretRef`) does not exist in this namespace, or has neither "
            "`token` nor `username` and `password`.",
        )
    )


def _entry(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _clean(token: str, secret: str) -> str:
    if token.isascii() and token.isprintable() and " " not in token:
        return token
    raise Trouble(Failure(Reason.SECRET_INVALID, f"`token` in Secret {secret!r} is not one line without spaces."))
