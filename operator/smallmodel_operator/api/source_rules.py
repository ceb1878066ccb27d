"""Rules of spec.source for a hub, a bucket and credentials."""

import re
from typing import Final

from smallmodel_operator.api.rule import Rule, Value

_PART: Final = "[A-Za-z0-9][-A-Za-z0-9_.]{0,95}"
HUB: Final = f"hf://{_PART}/{_PART}@[0-9a-f]{{40}}(/[ -~]+)?"
BUCKET: Final = "s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[!-.0-~][ -~]*"
_MOVING: Final = f"hf://{_PART}/{_PART}@[A-Za-z0-9][-A-Za-z0-9_.]{{0,127}}(/[ -~]+)?"
_HUB_FILE: Final = "hf://[^@]*@[^/]+/.+"
ALLOWS: Final = "(has(self.allowMutable) && self.allowMutable)"
OR_ALLOW: Final = "or set `spec.source.allowMutable: true`: what it holds then is frozen in `status.source`"
_MANY: Final = "safetensors|safetensors[.]index[.]json|zip|7z|tar|tgz|tar[.](gz|bz2|xz|zst)"
MANY: Final = f"^[^?#]*(/|[.]({_MANY}))([?#].*)?$"
"""How an address ends that is of a folder, an archive, or one file of a folder."""
_OUT: Final = "(^|/)[.][.](/|$)"
_FOLDED: Final = "/[.][.]?(/|$)"


def _uri(source: Value) -> str:
    return str(source.get("uri") or "")


def _is_hub(source: Value) -> bool:
    uri = _uri(source)
    return re.fullmatch(_MOVING if allows(source) else HUB, uri) is not None and not re.search(_OUT, uri)


def allows(source: Value) -> bool:
    """Whether what may move is allowed."""
    return source.get("allowMutable") is True


def _has_sum(source: Value) -> bool:
    return len(str(source.get("sha256") or "")) == 64


def _is_key(uri: str) -> bool:
    return re.fullmatch(BUCKET, uri) is not None and not re.search(_FOLDED, uri)


SOURCE_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "SmallModel",
        "spec.source",
        f"!self.uri.startsWith('hf://') || ((self.uri.matches('^{HUB}$') || ({ALLOWS} && "
        f"self.uri.matches('^{_MOVING}$'))) && !self.uri.matches('{_OUT}'))",
        "spec.source.uri",
        "`spec.source.uri` must be hf://ORGANISATION/REPOSITORY@COMMIT[/FILE] with the 40 hex digits of a commit: a "
        "branch or tag may change (`git ls-remote https://huggingface.co/ORGANISATION/REPOSITORY main` prints the "
        f"commit of main), {OR_ALLOW}.",
        lambda s: not _uri(s).startswith("hf://") or _is_hub(s),
    ),
    Rule(
        "SmallModel",
        "spec.source",
        f"!has(self.path) || self.path == '' || !self.uri.matches('^{_HUB_FILE}$')",
        "spec.source.path",
        "`spec.source.path` must be empty where `spec.source.uri` names the file already.",
        lambda s: not s.get("path") or re.fullmatch(_HUB_FILE, _uri(s)) is None,
    ),
    Rule(
        "SmallModel",
        "spec.source",
        f"!self.uri.startsWith('s3://') || (self.uri.matches('^{BUCKET}$') && !self.uri.matches('{_FOLDED}'))",
        "spec.source.uri",
        "`spec.source.uri` must be s3://BUCKET/KEY, the key in ASCII without `.` and `..` in its path; the store's "
        "address is the chart's value `downloads.s3.endpoint`.",
        lambda s: not _uri(s).startswith("s3://") or _is_key(_uri(s)),
    ),
    Rule(
        "SmallModel",
        "spec.source",
        f"!self.uri.startsWith('s3://') || (has(self.sha256) && size(self.sha256) == 64) || {ALLOWS}",
        "spec.source.sha256",
        f"`spec.source.sha256` is required with s3:// (`sha256sum FILE` prints it), {OR_ALLOW}.",
        lambda s: not _uri(s).startswith("s3://") or _has_sum(s) or allows(s),
    ),
    Rule(
        "SmallModel",
        "spec.source",
        f"!self.uri.startsWith('https://') || (has(self.sha256) && size(self.sha256) == 64) || {ALLOWS}",
        "spec.source.sha256",
        f"`spec.source.sha256` is required with https:// (`sha256sum FILE` prints it), {OR_ALLOW}.",
        lambda s: not _uri(s).startswith("https://") or _has_sum(s) or allows(s),
    ),
    Rule(
        "SmallModel",
        "spec.source",
        f"!(self.uri.startsWith('https://') || self.uri.startsWith('s3://')) || !self.uri.matches('{MANY}')",
        "spec.source.uri",
        "`spec.source.uri` must name one GGUF file with https:// and s3://: no folder, no archive and no safetensors "
        "are fetched from there. A folder comes from hf://, from a claim (pvc://) or from an image (oci://).",
        lambda s: not _uri(s).startswith(("https://", "s3://")) or re.search(MANY, _uri(s)) is None,
    ),
    Rule(
        "SmallModel",
        "spec.source",
        f"!{ALLOWS} || !self.uri.startsWith('pvc://')",
        "spec.source.allowMutable",
        "`spec.source.allowMutable` must be unset with pvc://: a claim's file is what it is.",
        lambda s: not allows(s) or not _uri(s).startswith("pvc://"),
    ),
    Rule(
        "SmallModel",
        "spec.source",
        f"!has(self.resolveGeneration) || {ALLOWS}",
        "spec.source.resolveGeneration",
        "`spec.source.resolveGeneration` must be unset unless `spec.source.allowMutable` is true: nothing else is "
        "resolved.",
        lambda s: s.get("resolveGeneration") is None or allows(s),
    ),
    Rule(
        "SmallModel",
        "spec.source",
        "!has(self.path) || self.path == '' || !self.uri.startsWith('s3://')",
        "spec.source.path",
        "`spec.source.path` must be empty with s3://: the key names the one file.",
        lambda s: not s.get("path") or not _uri(s).startswith("s3://"),
    ),
    Rule(
        "SmallModel",
        "spec.source",
        "!has(self.credentialsSecretRef) || ['hf://', 's3://', 'https://'].exists(s, self.uri.startsWith(s))",
        "spec.source.credentialsSecretRef",
        "`spec.source.credentialsSecretRef` must be unset with oci:// and pvc://: an image is pulled with the "
        "namespace's pull secrets, and a claim needs none.",
        lambda s: not s.get("credentialsSecretRef") or _uri(s).startswith(("https://", "hf://", "s3://")),
    ),
)
