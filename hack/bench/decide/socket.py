"""The agent alone, asked over its socket as Envoy asks, one question after the other."""

import socket
import statistics
import time
from pathlib import Path

from tests.gateway.running import here

QUESTIONS = 500
WARM = 50


def asked_alone(folder: Path, body: bytes, caller: str) -> float:
    """Milliseconds at p50.

    Raises:
        RuntimeError: it does not answer 200.
    """
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: decide\r\ncontent-type: application/json\r\n"
        "x-request-id: 4dd1e7a5-6d70-4b52-8b8c-8a3f0c1c2d3e\r\nx-slm-route: support/assistant|assistant\r\n"
        f"x-slm-caller: {caller}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    question, taken = head.encode() + body, []
    with socket.socket(socket.AF_UNIX) as agent:
        agent.connect(here(folder).decide_socket)
        for _ in range(WARM + QUESTIONS):
            began = time.perf_counter()
            agent.sendall(question)
            answer = b""
            while b"\r\n\r\n" not in answer:
                if not (more := agent.recv(65536)):
                    raise RuntimeError("the agent closed the connection")
                answer += more
            taken.append(time.perf_counter() - began)
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"the agent answered {answer[:80]!r}")
    return 1000 * statistics.median(taken[WARM:])
