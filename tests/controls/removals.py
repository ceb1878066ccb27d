"""How each control is taken away: a text of the package and what stands there without it."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Removal:
    """`file` below the package; `text` occurs in it once."""

    file: str
    text: str
    without: str


REMOVALS: Final = {
    "no-way-out": Removal(
        "boundary/build.py", '"egress": [rule for _, rule in egress(MODELS, view)],', '"egress": [{}],'
    ),
    "gateways-only": Removal(
        "boundary/build.py", '"ingress": [rule for _, rule in ingress(MODELS, view)],', '"ingress": [{}],'
    ),
    "downloads-outside": Removal("boundary/source.py", "(*NEVER, *cluster_networks)", "tuple(cluster_networks)"),
    "nothing-leads-out": Removal(
        "gateway/config.py",
        "if leaks := self._renderer.leaks(state, {BOOTSTRAP: self._renderer.bootstrap(), **files}):",
        "if leaks := []:",
    ),
    "pods-only": Removal("gateway/state.py", "if not port or not found_by_kubernetes(part):", "if not port:"),
    "network-tried": Removal("boundary/canary.py", "[c for c in report.checks if c.tried.through]", "[]"),
    "no-enforcement-no-serving": Removal(
        "boundary/enforcement.py", "if not boundary.required or boundary.enforced:", "if True:"
    ),
    "stopped": Removal("gateway/xds/lua/model.lua", "if model.stopped then", "if false then"),
    "cut": Removal("gateway/boundary/cut.py", "write(file, CUT)", "pass"),
    "no-token": Removal(
        "serving/revisions.py", '"automountServiceAccountToken": False,', '"automountServiceAccountToken": True,'
    ),
    "credential": Removal(
        "gateway/xds/lua/door.lua",
        "local found = KEYS[sha256(token)]",
        'local found = KEYS[sha256(token)] or { "support", "key:support/bot" }',
    ),
    "allowed-callers": Removal("gateway/xds/lua/model.lua", "if not open then", "if false then"),
    "allowed-tools": Removal("routing/tools/check.py", "if one.name not in bounds.allow:", "if False:"),
    "own-headers": Removal("gateway/xds/listener.py", '("x-slm-", "x-envoy-")', '("x-envoy-",)'),
    "every-request": Removal("gateway/xds/listener.py", '"access_log": [access_log(site)],', ""),
    "no-texts": Removal("gateway/accesslog/format.py", "%PATH(NQ:PATH):128%", "%PATH(WQ:PATH):128%"),
    "body-provable": Removal("gateway/xds/lua/hmac.lua", "body:getBytes(0, length)", '""'),
    "counted": Removal(
        "audit/completeness.py", "missing=max(0, min(max(self.missing, least - after), most - before)),", "missing=0,"
    ),
    "findings-recorded": Removal("gateway/record/finding.py", "recorder.note(ENFORCEMENT, **body(last, new))", "pass"),
    "silence-is-unknown": Removal("boundary/said.py", " and now <= self.holds", ""),
    "edits-found": Removal("audit/verify.py", "if not record.intact:", "if False:"),
    "chained": Removal("audit/verify.py", "if self._links and record.prev not in self._links:", "if False:"),
    "signed": Removal("audit/verify.py", "if not signed(body):", "if False:"),
    "end-known": Removal("audit/verify.py", "if head.seq > last:", "if False:"),
    "head-there": Removal(
        "audit/verify.py", "self._add(Fault(FaultKind.HEAD, last, HEAD, detail=head or NO_HEAD))", "pass"
    ),
    "handed-over": Removal("audit/signers.py", "if not self.trusted(key):", "if False:"),
    "own-files": Removal(
        "audit/verify.py", "if self._line == 1 and named(self._file) not in (0, record.seq):", "if False:"
    ),
    "no-record-no-answer": Removal(
        "gateway/record/door.py", "return self.strict and self._said is not False", "return False"
    ),
    "pinned-weights": Removal("api/rules.py", '"oci://[!-?A-~]+@sha256:[0-9a-f]{64}"', '"oci://[!-?A-~]+"'),
    "checked-weights": Removal("cli/transfer.py", "return self.sha256 == self._sha256", "return True"),
    "signed-weights": Removal("cli/verify_weights.py", "        _judge(str(error), signature, wish)", "        pass"),
    "no-pickles": Removal("weights/foreign.py", "if unsafe is not None:", "if False:"),
    "chat-templates": Removal(
        "weights/checks.py", "if request.enforce_template and _found(request, facts):", "if False:"
    ),
    "asked-first": Removal("quality/decide.py", 'if judged["verdict"] == Verdict.PASS or released:', "if True:"),
}
