"""Have Envoy judge a configuration: `--mode validate` reads a bootstrap only, so everything is put into one."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hack.envoy.binary import program


def standalone(bootstrap: Mapping[str, Any], files: Mapping[str, Any]) -> dict[str, Any]:
    """One bootstrap with what the discovery files hold; secrets stay references to their file."""

    def items(name: str) -> list[dict[str, Any]]:
        plain = [{k: v for k, v in item.items() if k != "@type"} for item in files[name]["resources"]]
        return json.loads(json.dumps(plain))  # a copy to change

    listeners, clusters, routes = items("xds/lds.json"), items("xds/cds.json"), items("xds/rds.json")
    for listener in listeners:
        for chain in listener["filter_chains"]:
            manager = chain["filters"][0]["typed_config"]
            manager["route_config"] = routes[0]
            del manager["rds"]
    for cluster in clusters:
        if cluster["type"] == "STATIC":
            continue
        name = cluster["name"]
        path = f"xds/eds/{name.replace('/', '.')}.json"
        assignment = {k: v for k, v in files[path]["resources"][0].items() if k != "@type"}
        del cluster["eds_cluster_config"]
        cluster |= {"type": "STATIC", "load_assignment": assignment}
    static = bootstrap["static_resources"]
    whole = {**static, "listeners": listeners, "clusters": [*static["clusters"], *clusters]}
    dynamic = {k: v for k, v in bootstrap["dynamic_resources"].items() if k == "ads_config"}
    return {**bootstrap, "dynamic_resources": dynamic, "static_resources": whole}


def complaint(bootstrap: Mapping[str, Any], files: Mapping[str, Any], folder: Path) -> str:
    """What Envoy has against a configuration; empty when it takes it. `folder` takes a scratch file."""
    if secrets := files.get("xds/sds.json"):
        (folder / "xds").mkdir(exist_ok=True)
        (folder / "xds" / "sds.json").write_text(json.dumps(secrets))
    path = folder / "standalone.json"
    path.write_text(json.dumps(standalone(bootstrap, files)))
    words = [program(), "--mode", "validate", "-c", str(path), "-l", "warning", "--disable-hot-restart"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    if done.returncode == 0 and " OK" in done.stdout and "deprecated" not in done.stderr.lower():
        return ""
    return (done.stdout + done.stderr).strip() or f"exit code {done.returncode}"
