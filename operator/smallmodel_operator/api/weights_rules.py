"""Rules of what is asked of weights."""

from typing import Final

from smallmodel_operator.api.rule import Rule

WEIGHTS_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "SmallModel",
        "spec.source",
        "!has(self.verification) || self.uri.startsWith('oci://') || self.uri.startsWith('pvc://')",
        "spec.source.verification",
        "`spec.source.verification` must be unset unless the source is oci:// or pvc://: a signature lies in the "
        "folder of the weights, and elsewhere one file is fetched; there `spec.source.sha256` pins it.",
        lambda s: s.get("verification") is None or str(s.get("uri") or "").startswith(("oci://", "pvc://")),
    ),
)
