"""Runs inside the cluster, in an app team's pod: the official openai client and what `envFrom` gave it, nothing else.

OPENAI_BASE_URL and OPENAI_API_KEY are read by the client itself, MODEL here. Reads {"questions": […]} from standard
input; prints one JSON object.
"""

import json
import os
import sys
import time

from openai import OpenAI

request = json.load(sys.stdin)
client = OpenAI(max_retries=0, timeout=60)
model = os.environ["MODEL"]


def ask(question: str) -> str:
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=120
    )
    return answer.choices[0].message.content or ""


def timed(question: str) -> dict[str, float | str]:
    """Time to the first token and tokens per second of a streamed answer."""
    started = time.monotonic()
    first, tokens, text = 0.0, 0, ""
    for chunk in client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        temperature=0,
        max_tokens=120,
        stream=True,
    ):
        piece = chunk.choices[0].delta.content if chunk.choices else None
        if piece:
            first = first or time.monotonic()
            tokens += 1
            text += piece
    spent = max(1e-6, time.monotonic() - first)
    return {"answer": text, "ttft_ms": 1000 * (first - started), "tokens_per_second": max(0, tokens - 1) / spent}


first_question = request["questions"][0]
ask(first_question)  # connections and caches warm; the first answer is not a measurement
print(json.dumps({"timed": timed(first_question), "answers": [ask(q) for q in request["questions"]]}))
