"""Metrics of the record."""

from typing import Final

from prometheus_client import Counter, Gauge, Info

RECORDS: Final = Counter("smallmodel_gateway_audit_records", "Answers recorded.")
SEQUENCE: Final = Gauge("smallmodel_gateway_audit_sequence", "Number of the last record of this gateway's chain.")
WAITING: Final = Gauge("smallmodel_gateway_audit_waiting_bytes", "Bytes of the access log that are not recorded yet.")
FAILING: Final = Gauge("smallmodel_gateway_audit_failing", "1 while answers cannot be recorded.")
REFUSING: Final = Gauge(
    "smallmodel_gateway_audit_refusing", "1 while requests are refused because answers could not be recorded."
)
FAILURES: Final = Counter("smallmodel_gateway_audit_failures", "Times records could not be written.")
MISSING: Final = Gauge(
    "smallmodel_gateway_audit_unrecorded_requests", "Requests Envoy counted since it began that have no record."
)
SURPLUS: Final = Gauge(
    "smallmodel_gateway_audit_surplus_records", "Records since Envoy began that it counted no request for."
)
SIZE: Final = Gauge("smallmodel_gateway_audit_size_bytes", "Bytes of all segments.")
REMOVED: Final = Counter(
    "smallmodel_gateway_audit_removed_records", "Records removed with old segments, by reason: age or size.", ["reason"]
)
SIGNER: Final = Info("smallmodel_gateway_audit_signer", "Public key this gateway signs its records with.")
