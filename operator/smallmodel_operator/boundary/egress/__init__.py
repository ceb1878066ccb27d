"""The static check of Envoy's configuration: no path leads outside the cluster. Pure; knows nothing of who made it.

    findings(files, inside)                 # a whole configuration: bootstrap and discovery files as JSON values
    endpoint_findings(target, file, inside) # the endpoints of one model
    outward_findings(bootstrap, outward)    # the egress: to declared hosts and nowhere else

It fails closed: whatever is not on the list of what is known (`envoy.py`) is a finding by itself, be it a field, a
filter, a kind of cluster, a text of Lua. A new field of the configuration is therefore written there first, with what
it leads to. That nothing is listed that could lead out unseen is what a reader of `envoy.py` has to judge.
"""

from smallmodel_operator.boundary.egress.check import endpoint_findings, findings
from smallmodel_operator.boundary.egress.grammar import Finding
from smallmodel_operator.boundary.egress.inside import Inside
from smallmodel_operator.boundary.egress.outward import Outward, outward_findings

__all__ = ["Finding", "Inside", "Outward", "endpoint_findings", "findings", "outward_findings"]
