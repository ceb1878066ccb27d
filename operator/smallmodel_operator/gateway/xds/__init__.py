"""Envoy's configuration, made from values. Pure: no clock, no network; only the packaged Lua is read.

    site = Site(folder=Path("/run/smallmodel"))       # where this gateway's files and ports are
    bootstrap(site)                                   # bootstrap.json
    files(state, site)                                # {"xds/cds.json": …, "xds/eds/<ns>.<name>.json": …}
    EnvoyRenderer(site)                               # the same for gateway/config.py
    envoy -c /run/smallmodel/bootstrap.json           # listeners, clusters, routes: files; endpoints: xds.sock

For a real Envoy in a test or a benchmark see tests/gateway/conftest.py (`Gateway`): it writes these files, serves
the endpoints with gateway/discovery.py and starts the pinned binary on free ports.

What a request's access log can say beyond Envoy's own operators is in dynamic metadata `smallmodel` (words.py).
"""

from smallmodel_operator.gateway.xds.renderer import EnvoyRenderer, bootstrap, everything, files
from smallmodel_operator.gateway.xds.site import Site

__all__ = ["EnvoyRenderer", "Site", "bootstrap", "everything", "files"]
