"""What a registry already holds, and the logins people stored for it. Pushing is the image builders' work."""

import base64
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

MANIFESTS = ("oci.image.index.v1", "oci.image.manifest.v1", "docker.distribution.manifest.list.v2",
             "docker.distribution.manifest.v2")  # fmt: skip
SECONDS = 10


def auth_files() -> list[Path]:
    """Where docker, podman, buildah and skopeo keep logins, in the order they look."""
    found = [Path(os.environ[name]) for name in ("REGISTRY_AUTH_FILE",) if os.environ.get(name)]
    found.append(Path(os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker"))) / "config.json")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        found.append(Path(runtime) / "containers" / "auth.json")
    return found


def login_for(host: str) -> str:
    """The stored `user:password` of a host in base64, or empty. Credential helpers are asked by the push itself."""
    for path in auth_files():
        try:
            entry = json.loads(path.read_text()).get("auths", {}).get(host)
        except (OSError, ValueError):
            continue
        if not entry:
            continue
        if entry.get("auth"):
            return str(entry["auth"])
        if entry.get("username"):
            return base64.b64encode(f"{entry['username']}:{entry.get('password', '')}".encode()).decode()
    return ""


def known_digest(reference: str, *, insecure: bool) -> str:
    """Digest the registry has for `host/path:tag`, or empty when it has none or does not tell us."""
    name, tag = reference.rsplit(":", 1)
    host, path = name.split("/", 1)
    url = f"{'http' if insecure else 'https'}://{host}/v2/{path}/manifests/{tag}"
    try:
        try:
            return _digest(url, _basic(host))
        except urllib.error.HTTPError as error:
            challenge = error.headers.get("WWW-Authenticate", "")
            if error.code != 401 or not challenge.lower().startswith("bearer "):
                return ""
            return _digest(url, f"Bearer {_token(challenge, host, path)}")
    except (OSError, ValueError, KeyError):
        return ""  # then it is built and pushed again, and the push says what is wrong


def _digest(url: str, authorization: str) -> str:
    request = urllib.request.Request(url, method="HEAD")
    request.add_header("Accept", ", ".join(f"application/vnd.{kind}+json" for kind in MANIFESTS))
    if authorization:
        request.add_header("Authorization", authorization)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return str(answer.headers["Docker-Content-Digest"] or "")


def _basic(host: str) -> str:
    login = login_for(host)
    return f"Basic {login}" if login else ""


def _token(challenge: str, host: str, path: str) -> str:
    """A pull token from the service the registry names (the distribution project's token protocol)."""
    told = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    query = urllib.parse.urlencode({"service": told.get("service", ""), "scope": f"repository:{path}:pull"})
    realm = told["realm"]
    if not realm.startswith("https://") and urllib.parse.urlsplit(realm).hostname not in ("localhost", "127.0.0.1"):
        raise ValueError(f"a login is not sent to {realm}")
    request = urllib.request.Request(f"{realm}?{query}")
    if basic := _basic(host):
        request.add_header("Authorization", basic)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        found = json.load(answer)
    return str(found.get("token") or found["access_token"])
