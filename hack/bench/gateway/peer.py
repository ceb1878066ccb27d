"""LiteLLM's proxy, installed once into a virtual environment of its own in the cache folder."""

import fcntl
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any, Final

from hack.cluster.paths import cache

PIN: Final = "litellm[proxy]==1.99.4"
KEY: Final = "sk-bench-1234"


def install() -> Path:
    """Folder with its programs. Raises RuntimeError with pip's own words."""
    home = cache() / "bench-litellm"
    mark = home / ".pin"
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / ".bench-litellm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != PIN:
            print(f"installing {PIN} (once, about two minutes) ...", file=sys.stderr, flush=True)
            venv.create(home, clear=True, with_pip=True)
            command = [str(home / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", PIN]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{PIN} could not be installed:\n{(done.stdout + done.stderr)[-2000:]}")
            mark.write_text(PIN)
    return home / "bin"


def configuration(engine: int) -> dict[str, Any]:
    """One model behind one key, nothing else on: no database, no cache, no callbacks, no retries."""
    there = {"model": "openai/bot", "api_base": f"http://127.0.0.1:{engine}/v1", "api_key": "none"}
    return {
        "model_list": [{"model_name": "bot", "litellm_params": there}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False, "num_retries": 0},
    }


def started(programs: Path, file: Path, port: int) -> list[str]:
    """The words that start it."""
    where = ["--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    return [str(programs / "litellm"), *where, "--num_workers", "1"]
