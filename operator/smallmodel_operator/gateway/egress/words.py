"""Words the egress, its Envoy and the gateways share. Here `TARGET` is `<namespace>/<route>/<target>`."""

from typing import Final

from smallmodel_operator.gateway.decide.answer import PASS as PASS
from smallmodel_operator.gateway.decide.answer import TARGET as TARGET

WAY: Final = "x-slm-way"
"""The same once the pass has been checked, with `STREAM` behind it for a stream: what Envoy's routes go by. Nobody else
can bring it."""
STREAM: Final = "|stream"
POLICY: Final = "x-slm-policy"
"""The policy it was decided by, of a pass that was checked."""
CHECK: Final = "check"
"""Envoy's name for who checks."""
