"""What keeps data where it belongs, which duties each part of it serves, and the test that goes red without it. Values.

A row stands here only with such a test: `tests/controls` takes every control away in turn and runs it. The articles say
what a control helps with; whether a duty is met decides who answers for the whole.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Control:
    """One control. `test`: path and name; `duties`: articles of each body of rules."""

    name: str
    does: str
    duties: tuple[str, ...]
    test: str


_BOUNDARY: Final = ("GDPR Art. 32(1)(b)", "GDPR Art. 44", "HIPAA 164.312(e)(1)", "PCI DSS 1.3", "DORA Art. 9(2)")
_ACCESS: Final = ("GDPR Art. 32(1)(b)", "HIPAA 164.312(a)(1)", "PCI DSS 7.2", "DORA Art. 9(4)(c)")
_IDENTITY: Final = ("GDPR Art. 32(1)(b)", "HIPAA 164.312(d)", "PCI DSS 8.3", "DORA Art. 9(4)(d)")
_RECORD: Final = ("GDPR Art. 5(2)", "GDPR Art. 30", "HIPAA 164.312(b)", "PCI DSS 10.2", "DORA Art. 10(1)")
_EVIDENCE: Final = ("GDPR Art. 5(2)", "HIPAA 164.312(c)(1)", "PCI DSS 10.3", "DORA Art. 9(2)")
_STOP: Final = ("GDPR Art. 18", "HIPAA 164.308(a)(6)", "PCI DSS 12.10", "DORA Art. 11(2)")
_CHANGE: Final = ("DORA Art. 9(4)(e)", "PCI DSS 6.5")
_WEIGHTS: Final = ("DORA Art. 9(2)", "PCI DSS 6.3", "HIPAA 164.312(c)(1)")

CONTROLS: Final = (
    Control(
        "no-way-out", "A pod of a model has no way out of the cluster, nor to another pod.", _BOUNDARY,
        "tests/unit/boundary/test_build.py::test_a_model_pod_has_no_way_out",
    ),
    Control(
        "gateways-only", "Only gateways and the operator reach a pod of a model, on one port.", _BOUNDARY,
        "tests/unit/boundary/test_build.py::test_in_come_the_gateways_and_the_operator_on_one_port_and_nobody_else",
    ),
    Control(
        "downloads-outside",
        "A download of weights reaches neither the cloud's metadata nor networkPolicy.clusterNetworks, unless its "
        "source is a Service of the cluster.",
        _BOUNDARY,
        "tests/unit/boundary/test_build.py::test_no_download_reaches_the_metadata_server",
    ),
    Control(
        "nothing-leads-out", "A gateway loads no configuration in which a path leads outside the cluster.", _BOUNDARY,
        "tests/unit/gateway/test_config.py::test_what_leads_outside_is_never_written",
    ),
    Control(
        "pods-only", "Prompts go to pods that Kubernetes found for a model's Service, to no other address.", _BOUNDARY,
        "tests/unit/gateway/test_view.py::test_only_what_kubernetes_found_counts",
    ),
    Control(
        "network-tried", "What the network lets through though policies forbid it is found by trying, and named.",
        _BOUNDARY,
        "tests/unit/boundary/test_canary.py::test_one_thing_that_got_through_is_enough_and_named",
    ),
    Control(
        "no-enforcement-no-serving", "Where it is required, models are not served by a network that enforces nothing.",
        _BOUNDARY, "tests/unit/boundary/test_enforcement.py::test_no_enforcement_no_serving",
    ),
    Control(
        "stopped", "Inference that was stopped is refused by every gateway.", _STOP,
        "tests/gateway/test_stop.py::test_all_is_cut_and_refused_and_comes_back",
    ),
    Control(
        "cut", "Answers that run when inference is stopped are cut.", _STOP,
        "tests/gateway/test_stop.py::test_a_body_that_was_on_its_way_is_cut_too",
    ),
    Control(
        "no-token", "A pod of a model carries no credential of the cluster.", _ACCESS,
        "tests/golden/test_golden.py::test_every_pod_passes_pod_security_restricted",
    ),
    Control(
        "credential", "A request without a credential that is known reaches no model.", _IDENTITY,
        "tests/gateway/test_answers.py::test_refusals",
    ),
    Control(
        "allowed-callers", "A caller reaches only models whose spec.access names it.", _ACCESS,
        "tests/gateway/test_answers.py::test_a_partners_key_opens_its_model_only",
    ),
    Control(
        "allowed-tools", "A tool that spec.tools of a route does not allow reaches no model by it.", _ACCESS,
        "tests/unit/gateway/decide/test_tools.py::"
        "test_a_tool_that_is_not_allowed_is_refused_and_the_refusal_recorded_without_its_name",
    ),
    Control(
        "own-headers", "Headers that steer the gateway are dropped when a caller sends them.", _ACCESS,
        "tests/gateway/test_answers.py::test_a_callers_own_headers_of_the_gateway_count_for_nothing",
    ),
    Control(
        "every-request", "Every request leaves one record, whoever asked and however it ended.", _RECORD,
        "tests/gateway/test_record.py::test_every_request_leaves_one_record_and_the_counts_agree",
    ),
    Control(
        "no-texts", "No record and no log holds text of a request, a query string or a credential.",
        ("GDPR Art. 5(1)(c)", "HIPAA 164.312(a)(1)", "PCI DSS 3.3"),
        "tests/gateway/test_access_log.py::test_every_field_says_something_and_none_a_secret",
    ),
    Control(
        "body-provable",
        "Where spec.audit.requestHMAC is Enabled, a record tells whether a given body is the one that was sent, and "
        "says so where it cannot.",
        ("GDPR Art. 5(2)", "HIPAA 164.312(c)(2)", "PCI DSS 10.3", "DORA Art. 9(2)"),
        "tests/gateway/test_request_hmac.py::test_a_record_tells_which_body_was_sent",
    ),
    Control(
        "counted", "Records are compared with the requests Envoy counted itself; what is missing is said.", _RECORD,
        "tests/unit/audit/test_completeness.py::test_what_is_missing_stays_missing_under_load",
    ),
    Control(
        "findings-recorded", "What was found of the network is in the records, with its times.", _RECORD,
        "tests/unit/gateway/record/test_finding.py::test_a_change_is_recorded_with_its_time_and_what_got_through",
    ),
    Control(
        "silence-is-unknown", "A time in which nobody looked at the network never counts as a good one.", _RECORD,
        "tests/unit/gateway/record/test_finding.py::test_an_operator_that_falls_silent_is_unknown_from_its_last_run_on",
    ),
    Control(
        "edits-found", "A record that was changed is found.", _EVIDENCE,
        "tests/unit/audit/test_verify.py::test_an_edited_record",
    ),
    Control(
        "chained", "A record that was changed together with its hash is found, for the next one names it.", _EVIDENCE,
        "tests/unit/audit/test_verify.py::test_an_edited_record_with_a_hash_that_fits",
    ),
    Control(
        "signed", "Records somebody else made are found: each commit and each checkpoint is signed.", _EVIDENCE,
        "tests/unit/audit/test_verify.py::test_a_checkpoint_whose_signature_does_not_fit",
    ),
    Control(
        "end-known", "Records cut off at the end are found: the head is signed.", _EVIDENCE,
        "tests/unit/audit/test_verify.py::test_an_end_that_is_gone",
    ),
    Control(
        "head-there", "A chain whose signed head was taken away is found.", _EVIDENCE,
        "tests/unit/audit/test_verify.py::test_a_head_that_is_edited_or_gone",
    ),
    Control(
        "handed-over", "A chain that goes on under a key the one before did not hand over to is found.", _EVIDENCE,
        "tests/unit/gateway/record/test_recorder.py::test_a_key_nobody_handed_over_to_is_a_fault",
    ),
    Control(
        "own-files", "Records that were moved to another file, and files that were renamed, are found.", _EVIDENCE,
        "tests/unit/audit/test_verify.py::test_files_under_another_name",
    ),
    Control(
        "no-record-no-answer", "With audit.onFailure: Refuse nothing is answered that cannot be recorded.", _RECORD,
        "tests/unit/gateway/record/test_door.py::test_it_is_closed_until_somebody_opens_it",
    ),
    Control(
        "pinned-weights", "Weights are named by their digest: what was approved is what runs.", _WEIGHTS,
        "tests/api/test_rules.py::test_bad_is_refused_with_a_message",
    ),
    Control(
        "checked-weights", "A download with another SHA-256 is thrown away.", _WEIGHTS,
        "tests/unit/cli/test_fetch_weights.py::test_another_file_is_refused_with_both_sums_and_leaves_nothing",
    ),
    Control(
        "signed-weights", "Where a key is named, weights that are not as they were signed are not served.", _WEIGHTS,
        "tests/unit/cli/test_verify_weights.py::test_each_thing_that_is_wrong_has_its_reason_and_names_the_file",
    ),
    Control(
        "no-pickles", "Files that can run code when they are loaded are never loaded.", _WEIGHTS,
        "tests/unit/weights/test_foreign.py::test_pickles_are_known_by_their_bytes",
    ),
    Control(
        "chat-templates",
        "A chat template that does what none needs is not served; pods with a memory request of their own wait for "
        "that look only where spec.checks.chatTemplate is Enforce.",
        _WEIGHTS,
        "tests/unit/weights/test_decide.py::test_a_template_with_a_finding_is_refused_and_says_how_to_let_it_in",
    ),
    Control(
        "asked-first", "A new version that answers its golden prompts worse takes no traffic (spec.checks.golden).",
        _CHANGE, "tests/unit/quality/test_decide.py::test_a_failed_gate_never_serves_and_names_ids_only",
    ),
)  # fmt: skip
