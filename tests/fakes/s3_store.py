"""A real S3 store on loopback (versitygw over a folder): it checks every signature."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.cluster.binaries import program
from hack.ports import free_port

KEY, HIDDEN, REGION = "key-of-the-test", "secret-of-the-test", "eu-test-1"


@contextmanager
def store(keys: Path, folder: Path) -> Iterator[str]:
    """Its endpoint; `folder` holds a folder for each bucket."""
    port = free_port()
    log = (keys / "s3.log").open("w")
    process = subprocess.Popen(
        [program("versitygw"), "--port", f"127.0.0.1:{port}", "--region", REGION, "--cert", str(keys / "server.crt"),
         "--key", str(keys / "server.key"), "posix", str(folder)],
        stdout=log, stderr=log,
        env={"PATH": os.environ["PATH"], "ROOT_ACCESS_KEY_ID": KEY, "ROOT_SECRET_ACCESS_KEY": HIDDEN,
             "ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": HIDDEN},
    )  # fmt: skip
    log.close()
    try:
        _answers(port, process, keys / "s3.log")
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"the store does not answer: {log.read_text()[-2000:]}")
