"""spec.source -> a source, or why it is none."""

import posixpath
import re
from typing import Final
from urllib.parse import urlsplit

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.api.source_rules import MANY
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.weights import image
from smallmodel_operator.weights.source import (
    BucketSource,
    ClaimSource,
    HttpsSource,
    HubSource,
    MovingSource,
    OciSource,
    Source,
)

_OCI: Final = re.compile(r"^(?P<repository>[A-Za-z0-9][\w.:/-]*?)(?::[\w.-]+)?@(?P<digest>sha256:[0-9a-f]{64})$")
_TAGGED: Final = re.compile(r"^[A-Za-z0-9][\w.:/-]*:[A-Za-z0-9_][\w.-]{0,127}$", re.ASCII)
_HUB: Final = re.compile(
    r"^(?P<repository>[A-Za-z0-9][-\w.]{0,95}/[A-Za-z0-9][-\w.]{0,95})"
    r"@(?P<revision>[A-Za-z0-9][-\w.]{0,127})(/(?P<file>[ -~]+))?$",
    re.ASCII,
)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_BUCKET: Final = re.compile(r"^(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>[!-.0-~][ -~]*)$")
_FOLDED: Final = re.compile(r"(^|/)\.\.?(/|$)")
"""Parts of a key that clients and servers on the way fold: another key would be signed than is asked for."""
_CLAIM: Final = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_OR_ALLOW: Final = "or set `spec.source.allowMutable: true`: what it holds then is frozen in `status.source`"
_SHA256: Final = re.compile(r"^[0-9a-f]{64}$")


def parse(uri: str, path: str, sha256: str, allow_mutable: bool = False) -> Source:
    """A source from `spec.source`. `allow_mutable`: a branch, a tag, or a file without its SHA-256 is a MovingSource.

    Raises:
        Refused: the URI names nothing immutable or nothing we can mount. The CRD refuses the same, earlier.
    """
    if sha256 and not _SHA256.match(sha256):
        raise _refused("`spec.source.sha256` must be 64 lower-case hex digits (`sha256sum FILE` prints them).")
    scheme, _, rest = uri.partition("://")
    if scheme == "oci":
        return _oci(rest, path, allow_mutable)
    if scheme == "pvc":
        return _claim(rest, path, sha256)
    if scheme in ("https", "s3"):
        _one_file(uri)
    if scheme == "https":
        return _https(uri, path, sha256, allow_mutable)
    if scheme == "hf":
        return _hub(rest, path, sha256, allow_mutable)
    if scheme == "s3":
        return _bucket(rest, path, sha256, allow_mutable)
    raise _refused(f"`spec.source.uri` {uri[:80]!r} must begin with oci://, pvc://, hf://, s3:// or https://.")


def _oci(rest: str, path: str, allow_mutable: bool) -> OciSource | MovingSource:
    match = _OCI.match(rest)
    if not match and allow_mutable and _TAGGED.match(rest):
        _relative(path)
        return MovingSource(image.name(rest))
    if not match:
        raise _refused(
            f"`spec.source.uri` oci://{rest[:80]} must name a digest: oci://registry/repository@sha256:… (a tag may "
            f"change; `crane digest`, `oras resolve` or the registry's page show it), {_OR_ALLOW}."
        )
    return OciSource(f"{match['repository']}@{match['digest']}", match["digest"], _relative(path))


def _claim(rest: str, path: str, sha256: str) -> ClaimSource:
    claim, _, inner = rest.partition("/")
    if not _CLAIM.match(claim) or len(claim) > 253:
        raise _refused(f"`spec.source.uri` pvc://{rest[:80]} must be pvc://CLAIM/PATH with the name of a claim.")
    return ClaimSource(claim, posixpath.join(_relative(inner), _relative(path)).rstrip("/"), sha256)


def _bucket(rest: str, path: str, sha256: str, allow_mutable: bool) -> BucketSource | MovingSource:
    match = _BUCKET.fullmatch(rest)
    if not match or _FOLDED.search(rest):
        raise _refused(
            f"`spec.source.uri` s3://{rest[:80]} must be s3://BUCKET/KEY, the key in ASCII without `.` and `..` in its "
            "path; the store's address is the chart's value `downloads.s3.endpoint`."
        )
    if not sha256 and not allow_mutable:
        raise _refused(f"`spec.source.sha256` is required with s3:// (`sha256sum FILE` prints it), {_OR_ALLOW}.")
    if path:
        raise _refused("`spec.source.path` must be empty with s3://: the key names the one file.")
    found = BucketSource(match["bucket"], match["key"], sha256)
    return found if sha256 else MovingSource(found)


def _hub(rest: str, path: str, sha256: str, allow_mutable: bool) -> HubSource | MovingSource:
    match = _HUB.match(rest)
    pinned = match is not None and _COMMIT.fullmatch(match["revision"]) is not None
    if match is None or not (pinned or allow_mutable):
        repository, _, revision = rest.partition("@")
        branch = revision.partition("/")[0] or "main"
        raise _refused(
            f"`spec.source.uri` hf://{rest[:80]} must name a commit: hf://ORGANISATION/REPOSITORY@COMMIT[/FILE] (a "
            f"branch or tag may change; `git ls-remote https://huggingface.co/{repository[:80]} {branch[:40]}` prints "
            f"the commit), {_OR_ALLOW}."
        )
    file = _relative(match["file"] or "")
    if file and path:
        raise _refused("`spec.source.path` must be empty where `spec.source.uri` names the file already.")
    found = HubSource(match["repository"], match["revision"], file or _relative(path), sha256)
    return found if pinned else MovingSource(found)


def _one_file(uri: str) -> None:
    if re.search(MANY, uri):
        raise _refused(
            f"`spec.source.uri` {uri[:80]!r} must name one GGUF file with https:// and s3://: no folder, no archive "
            "and no safetensors are fetched from there. A folder comes from hf://, from a claim (pvc://) or from an "
            "image (oci://)."
        )


def _https(uri: str, path: str, sha256: str, allow_mutable: bool) -> HttpsSource | MovingSource:
    try:
        parts = urlsplit(uri)
        bad = not parts.hostname or parts.port == 0
    except ValueError:
        bad = True
    if bad or any(c.isspace() or not c.isprintable() for c in uri):
        raise _refused(f"`spec.source.uri` {uri[:80]!r} is not an https:// address of a file.")
    if parts.username or parts.password:
        raise _refused("`spec.source.uri` must not hold a user name or password: everyone may read it.")
    if not sha256 and not allow_mutable:
        raise _refused(f"`spec.source.sha256` is required with https:// (`sha256sum FILE` prints it), {_OR_ALLOW}.")
    if path:
        raise _refused("`spec.source.path` must be empty with https://: the address names the one file.")
    found = HttpsSource(uri, sha256)
    return found if sha256 else MovingSource(found)


def _relative(path: str) -> str:
    """A path that stays inside the volume."""
    clean = posixpath.normpath(path.strip("/")) if path.strip("/") else ""
    if clean == ".." or clean.startswith("../") or "\0" in clean:
        raise _refused(f"The path {path[:80]!r} in `spec.source` must stay inside the volume.")
    return "" if clean == "." else clean


def _refused(message: str) -> Refused:
    return Refused(Reason.INVALID_SPEC, message, condition=Condition.WEIGHTS_READY)
