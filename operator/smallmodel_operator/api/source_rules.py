"""Rules of spec.source for a hub, a bucket and credentials."""

import re
from typing import Final

from smallmodel_operator.api.rule import Rule, Value

_PART: Final = "[A-Za-z0-9][-A-Za-z0-9_.]{0,95}"
HUB: Final = f"hf://{_PART}/{_PART}@[0-9a-f]{{40}}(/[ -~]+)?"
BUCKET: Final = "s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[!-.0-~][ -~]*"
_HUB_FILE: Final = "hf://[^@]*@[0-9a-f]{40}/.+"
_OUT: Final = "(^|/)[.][.](/|$)"
_FOLDED: Final = "/[.][.]?(/|$)"


def _uri(source: Value) -> str:
    return str(source.get("uri") or "")


def _is_hub(uri: str) -> bool:
    return re.fullmatch(HUB, uri) is not None and not re.search(_OUT, uri)


def _is_key(uri: str) -> bool:
    return re.fullmatch(BUCKET, uri) is not None and not re.search(_FOLDED, uri)


SOURCE_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "SmallModel",
        "spec.source",
        f"!self.uri.startsWith('hf://') || (self.uri.matches('^{HUB}$') && !self.uri.matches('{_OUT}'))",
        "spec.source.uri",
        "`spec.source.uri` must be hf://ORGANISATION/REPOSITORY@COMMIT[/FILE] with the 40 hex digits of a commit: a "
        "branch or tag may change (`git ls-remote https://huggingface.co/ORGANISATION/REPOSITORY main` prints the "
        "commit of main).",
        lambda s: not _uri(s).startswith("hf://") or _is_hub(_uri(s)),
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
        "!self.uri.startsWith('s3://') || (has(self.sha256) && size(self.sha256) == 64)",
        "spec.source.sha256",
        "`spec.source.sha256` is required with s3:// (`sha256sum FILE` prints it).",
        lambda s: not _uri(s).startswith("s3://") or len(str(s.get("sha256") or "")) == 64,
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
