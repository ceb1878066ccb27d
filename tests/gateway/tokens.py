"""ServiceAccount tokens for tests, signed with the openssl every machine has."""

import base64
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from smallmodel_operator.gateway.state import Issuer

ISSUER = "https://kubernetes.default.svc.cluster.local"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Signer:
    """One RSA key and the issuer it stands for."""

    def __init__(self, folder: Path, name: str = "one") -> None:
        self._name, self._key = name, folder / f"{name}.pem"
        self._openssl("genrsa", "-out", str(self._key), "2048")
        modulus = self._openssl("rsa", "-in", str(self._key), "-noout", "-modulus").decode().strip().split("=")[1]
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": name, "e": "AQAB"}
        self.issuer = Issuer(ISSUER, json.dumps({"keys": [{**key, "n": _encoded(bytes.fromhex(modulus))}]}))

    def token(self, account: str = "support/app", **claims: Any) -> str:
        """A token as the API server gives: of a ServiceAccount, for the gateway, for an hour; `claims` replace."""
        now = int(time.time())
        payload: dict[str, Any] = {
            "iss": ISSUER,
            "aud": ["smallmodel-gateway"],
            "sub": f"system:serviceaccount:{account.replace('/', ':')}",
            "iat": now,
            "exp": now + 3600,
            **claims,
        }
        head = {"alg": "RS256", "kid": self._name}
        payload = {k: v for k, v in payload.items() if v is not None}
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (head, payload))
        signature = self._openssl("dgst", "-sha256", "-sign", str(self._key), stdin=text.encode())
        return f"{text}.{_encoded(signature)}"

    @staticmethod
    def _openssl(*words: str, stdin: bytes = b"") -> bytes:
        return subprocess.run(["openssl", *words], input=stdin, capture_output=True, check=True).stdout
