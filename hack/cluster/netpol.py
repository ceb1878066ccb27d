"""The policy enforcer of the test bed, a test double of a network plugin: watch, compute, load into nftables.

Started inside the cluster's network namespace: `python3 -m hack.cluster.netpol KUBECONFIG NODE-ADDRESS…`.
Standard library only, so that it starts in a moment.
"""

import base64
import json
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from hack.cluster.netpol_rules import World, ruleset

PATHS = {
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
}
GATHER_SECONDS = 0.02


class Watcher:
    """The objects of three kinds, kept current by one thread each."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self._server = cluster["server"]
        self._token = config["users"][0]["user"]["token"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        self.objects: dict[str, dict[str, Any]] = {kind: {} for kind in PATHS}
        self.changed = threading.Event()
        self.lock = threading.Lock()

    def start(self) -> None:
        for kind in PATHS:
            threading.Thread(target=self._follow, args=(kind,), daemon=True).start()

    def _open(self, path: str, timeout: float) -> Any:
        request = urllib.request.Request(self._server + path, headers={"Authorization": f"Bearer {self._token}"})
        return urllib.request.urlopen(request, timeout=timeout, context=self._context)

    def _follow(self, kind: str) -> None:
        while True:
            try:
                self._once(kind)
            except Exception as error:  # whatever it was, list again: a stale ruleset is the worse outcome
                print(f"{kind}: {error!r}; listing again", file=sys.stderr, flush=True)
                time.sleep(0.5)

    def _once(self, kind: str) -> None:
        with self._open(PATHS[kind], 10) as answer:
            listed = json.load(answer)
        with self.lock:
            self.objects[kind] = {_key(o): o for o in listed["items"]}
        self.changed.set()
        version = listed["metadata"]["resourceVersion"]
        path = f"{PATHS[kind]}?watch=true&resourceVersion={version}&timeoutSeconds=300"
        with self._open(path, 310) as stream:
            for line in stream:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                with self.lock:
                    if event["type"] == "DELETED":
                        self.objects[kind].pop(_key(event["object"]), None)
                    else:
                        self.objects[kind][_key(event["object"])] = event["object"]
                self.changed.set()

    def world(self, node: tuple[str, ...]) -> World:
        with self.lock:
            parts = {kind: list(objects.values()) for kind, objects in self.objects.items()}
        return World(parts["policies"], parts["pods"], parts["namespaces"], node)


def _key(obj: dict[str, Any]) -> str:
    meta = obj["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"


def main() -> None:
    """Load a new table whenever the computed text changes."""
    kubeconfig, node = Path(sys.argv[1]), tuple(sys.argv[2:])
    watcher = Watcher(kubeconfig)
    watcher.start()
    loaded = ""
    while True:
        watcher.changed.wait()
        time.sleep(GATHER_SECONDS)
        watcher.changed.clear()
        text = ruleset(watcher.world(node))
        if text == loaded:
            continue
        done = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True)
        if done.returncode:
            print(f"nft refused the rules: {done.stderr.strip()}", file=sys.stderr, flush=True)
        else:
            loaded = text


if __name__ == "__main__":
    main()
