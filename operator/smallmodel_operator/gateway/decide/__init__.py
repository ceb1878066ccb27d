"""The decision on each request of a route, for the own Envoy's ext_authz: asked over a socket, recorded, then answered.

What is decided is `routing.verdict`'s. Here is what goes wrong around it: too large, too slow, crashed or not recorded
is inside; who cannot be answered at all is refused by Envoy, which fails closed.
"""
