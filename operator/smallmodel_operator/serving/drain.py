"""Drain before stop, as a preStop hook that needs `sh`, `sleep` and `seq`: what engine images have anyway.

Without `seq` it only lets the endpoints settle; without `sh` the kubelet notes FailedPreStopHook and stops the engine
at once, which cuts off the answers under way.

A pod leaves the Service's endpoints when its deletion begins, but connections reach it until every node has heard
of that, and open ones go on. llama.cpp cuts them off at SIGTERM. So the hook first waits for the endpoints to
settle, then until no client is connected, and only then lets the kubelet send SIGTERM.
"""

from typing import Final

SETTLE_SECONDS: Final = 5
"""How long nodes may take to hear that a pod is leaving; kube-proxy syncs within 1 s, 5 s is five times that."""
GRACE_SECONDS: Final = 120
"""Longest answer that is waited for."""
QUIET_LOOKS: Final = 3
"""Consecutive looks without a connection; one look can fall between two requests of one client."""


def command(port: int) -> list[str]:
    """The hook: returns when the port has no established connection, at the latest shortly before the grace ends."""
    script = (
        f"sleep {SETTLE_SECONDS}; quiet=0; "
        f"for _ in $(seq {GRACE_SECONDS - SETTLE_SECONDS - 5}); do busy=0; "
        "for file in /proc/net/tcp /proc/net/tcp6; do "
        '[ -r "$file" ] && while read -r _ local _ state _; do '
        f'case "$local $state" in *:{port:04X}" 01") busy=1;; esac; '
        'done <"$file"; done; '
        'if [ "$busy" = 0 ]; then quiet=$((quiet+1)); else quiet=0; fi; '
        f'[ "$quiet" -ge {QUIET_LOOKS} ] && exit 0; sleep 1; done; exit 0'
    )
    return ["/bin/sh", "-c", script]
