"""Fakes of vLLM and TGI: no model, but their wire format as their own clients and documentation have it.

Neither ran on hardware in this project; what these two do is what the adapters and the gateway count on.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from tests.fakes.upstream import Asked, Engine

WORDS = ("Hello", " there", ".")
VLLM_METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="bot"} 1.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="bot"} 2.0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="bot"} 70.0
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="bot"} 30.0
"""
TGI_METRICS = """\
# TYPE tgi_batch_current_size gauge
tgi_batch_current_size 1
# TYPE tgi_queue_size gauge
tgi_queue_size 2
# TYPE tgi_request_input_length histogram
tgi_request_input_length_bucket{le="+Inf"} 10
tgi_request_input_length_sum 70
tgi_request_input_length_count 10
# TYPE tgi_request_generated_tokens histogram
tgi_request_generated_tokens_bucket{le="+Inf"} 10
tgi_request_generated_tokens_sum 30
tgi_request_generated_tokens_count 10
"""


@dataclass(slots=True)
class _WithKey(Engine):
    """Asks for its key under /v1; /health and /metrics are open."""

    key: str = ""
    model: str = "bot"

    metrics = ""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/health":
            return web.Response(status=200 if self.healthy else 503)
        if request.path == "/metrics":
            return web.Response(text=self.metrics)
        body = await request.read()
        self.asked.append(Asked(request.method, request.path_qs, dict(request.headers), body))
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return self._unauthorized()
        return await self._chat(request, json.loads(body))

    def _unauthorized(self) -> web.Response:
        raise NotImplementedError

    async def _chat(self, request: web.Request, wanted: dict[str, Any]) -> web.StreamResponse:
        raise NotImplementedError


async def _events(request: web.Request, chunks: list[dict[str, Any]]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for chunk in chunks:
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _chunks(head: dict[str, Any], delta: Callable[[str], dict[str, Any]]) -> list[dict[str, Any]]:
    said = [{"index": 0, "delta": delta(word), "logprobs": None, "finish_reason": None} for word in WORDS]
    last = {"index": 0, "delta": delta(""), "logprobs": None, "finish_reason": "stop"}
    return [{**head, "object": "chat.completion.chunk", "choices": [c]} for c in (*said, last)]


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


class FakeVllm(_WithKey):
    """vLLM's OpenAI server."""

    metrics = VLLM_METRICS

    def _unauthorized(self) -> web.Response:
        return web.json_response({"error": "Unauthorized"}, status=401)

    async def _chat(self, request: web.Request, wanted: dict[str, Any]) -> web.StreamResponse:
        if wanted["model"] != self.model:
            said = f"The model `{wanted['model']}` does not exist."
            error = {"message": said, "type": "NotFoundError", "param": "model", "code": 404}
            return web.json_response({"error": error}, status=404)
        head = {"id": "chatcmpl-1", "created": 1, "model": self.model}
        if wanted.get("stream"):
            chunks = _chunks(head, lambda word: {"role": "assistant", "content": word})
            if (wanted.get("stream_options") or {}).get("include_usage"):
                chunks.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
            return await _events(request, chunks)
        message = {"role": "assistant", "content": "".join(WORDS), "refusal": None, "tool_calls": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "stop_reason": None}
        return web.json_response({**head, "object": "chat.completion", "choices": [choice], "usage": USAGE})


class FakeTgi(_WithKey):
    """Hugging Face's text-generation-inference; it takes any model's name."""

    metrics = TGI_METRICS

    def _unauthorized(self) -> web.Response:
        return web.Response(status=401)

    async def _chat(self, request: web.Request, wanted: dict[str, Any]) -> web.StreamResponse:
        if not wanted.get("messages"):
            error = {"error": "Input validation error: `inputs` must have minimum length 1", "error_type": "validation"}
            return web.json_response(error, status=422)
        head = {"id": "", "created": 1, "model": "/weights", "system_fingerprint": "3.3.4-native"}
        if wanted.get("stream"):
            chunks = _chunks(head, lambda word: {"role": "assistant", "content": word, "tool_calls": None})
            return await _events(request, chunks)
        message = {"role": "assistant", "content": "".join(WORDS)}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return web.json_response({**head, "object": "chat.completion", "choices": [choice], "usage": USAGE})
