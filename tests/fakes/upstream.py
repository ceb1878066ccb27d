"""A fake engine: speaks the OpenAI wire format and server-sent events, remembers what it was asked.

It answers by the request's `model` of no account but by these keys of the body: `stream`, `fake_status`,
`fake_delay` (seconds before the head), `fake_chunks` (texts sent one by one as they are, `fake_pause` seconds apart,
the first `fake_repeat` times; with `fake_length` as Content-Length), `fake_sure` (asked for logprobs: probability of
its tokens, by model), `fake_fails` (models that answer 500, or `fake_fails_with`), `fake_closes` (models that close
their connection in place of an answer), `fake_calls` (how models call tools, see `called`).
"""

import asyncio
import json
import math
import threading
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
TIMINGS = {"cache_n": 2, "prompt_n": 5, "predicted_n": 3}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Engine:
    """One fake engine on a free port of loopback, in its own thread."""

    name: str = "engine"
    activator: bool = False
    """Answers everything as an activator does that has woken the model."""
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    healthy: bool = True
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None

    def start(self, path: str = "") -> "Engine":
        """Listen on loopback, or on a Unix socket."""
        ready = threading.Event()

        async def serve() -> None:
            app = web.Application(client_max_size=64 * 1024 * 1024)
            app.router.add_route("*", "/{rest:.*}", self._answer)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)  # who asks may be gone
            await runner.setup()
            await (web.UnixSite(runner, path) if path else web.TCPSite(runner, "127.0.0.1", self.port)).start()
            if not path:
                self.port = runner.addresses[0][1]
            self._runner = runner
            ready.set()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(serve())
            self._loop.run_forever()
            self._loop.run_until_complete(self._runner.cleanup())
            self._loop.close()

        self._thread = threading.Thread(target=run, daemon=True, name=self.name)
        self._thread.start()
        assert ready.wait(10), "the fake engine did not start"
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join(10)

    _runner: Any = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/health":
            return web.Response(status=200 if self.healthy else 503)
        body = await request.read()
        self.asked.append(Asked(request.method, request.path_qs, dict(request.headers), body))
        if self.activator:
            return web.Response(status=503, headers={"x-slm-activated": "1"})
        wanted = json.loads(body)
        await asyncio.sleep(wanted.get("fake_delay", 0))
        if wanted.get("model") in wanted.get("fake_closes", ()) and request.transport:
            request.transport.close()
        fails = wanted.get("model") in wanted.get("fake_fails", ())
        status = wanted.get("fake_fails_with", 500) if fails else wanted.get("fake_status", 200)
        if (wanted.get("stream") or "fake_chunks" in wanted) and status == 200 and "fake_calls" not in wanted:
            return await self._stream(request, wanted)
        if status != 200:
            return web.json_response({"error": {"message": "engine says no", "type": "engine"}}, status=status)
        if "fake_calls" in wanted:
            return called(wanted)
        answer = {"object": "chat.completion", "model": wanted.get("model"), "served_by": self.name, "usage": USAGE}
        if wanted.get("logprobs"):
            message = {"role": "assistant", "content": "t0t1t2"}
            answer["choices"] = [{"index": 0, "message": message, "logprobs": logprobs(wanted)}]
        return web.json_response({**answer, "timings": TIMINGS})

    async def _stream(self, request: web.Request, wanted: dict[str, Any]) -> web.StreamResponse:
        kind = "text/event-stream" if wanted.get("stream") else "application/json"
        response = web.StreamResponse(headers={"Content-Type": kind})
        response.content_length = wanted.get("fake_length")
        await response.prepare(request)
        chunks = wanted.get("fake_chunks") or stream_chunks(logprobs(wanted) if wanted.get("logprobs") else None)
        for chunk in [*chunks[:1] * wanted.get("fake_repeat", 1), *chunks[1:]]:
            await response.write(chunk.encode())
            await asyncio.sleep(wanted.get("fake_pause", 0.002))
        await response.write_eof()
        return response


def called(wanted: dict[str, Any]) -> web.Response:
    """Of a model that calls tools `always`, only as JSON `by schema`, or `never`; a text is what it says by schema."""
    does, asked = wanted["fake_calls"].get(wanted["model"], "never"), "response_format" in wanted
    function = {"name": wanted["tools"][0]["function"]["name"], "arguments": '{"order": 17}'}
    message: dict[str, Any] = {"role": "assistant", "content": "I would rather talk."}
    if does == "always" and not asked:
        message = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]}
        message["tool_calls"][0]["function"] = function
    elif asked and does == "refuse":
        return web.json_response({"error": {"message": "no schemas here"}}, status=400)
    elif asked and does != "never":
        message["content"] = json.dumps({**function, "arguments": {"order": 17}}) if does == "by schema" else does
    if not wanted.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": USAGE, "timings": TIMINGS})
    parts = [message["content"][:5], message["content"][5:]] if message["content"] else []
    deltas = [{"content": part} for part in parts]
    if "tool_calls" in message:
        whole = {"index": 0, **message["tool_calls"][0], "function": {**function, "arguments": ""}}
        deltas = [{"tool_calls": [whole]}]
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": p}}]} for p in ('{"order":', " 17}")]
    chunks = [{"id": "x", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks += [{"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    chunks += [{"id": "x", "choices": [], "usage": USAGE, "timings": TIMINGS}]
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    return web.Response(text=text, content_type="text/event-stream")


def logprobs(wanted: dict[str, Any]) -> dict[str, Any]:
    """Of three tokens, as sure as `fake_sure` says by the model's name (1: entirely)."""
    sure = wanted.get("fake_sure", {}).get(wanted.get("model"), 1.0)
    return {"content": [{"token": f"t{n}", "logprob": math.log(sure), "top_logprobs": []} for n in range(3)]}


def stream_chunks(probable: dict[str, Any] | None = None) -> list[str]:
    """A streamed answer as llama.cpp sends it: token by token, usage and timings in the last."""
    choices = [{"index": 0, "delta": {"content": f"t{n}"}} for n in range(3)]
    if probable:
        choices = [{**one, "logprobs": {"content": [t]}} for one, t in zip(choices, probable["content"], strict=True)]
    tokens = [f"data: {json.dumps({'choices': [choice]}, separators=(',', ':'))}\n\n" for choice in choices]
    last = json.dumps({"choices": [], "usage": USAGE, "timings": TIMINGS})
    return [*tokens, f"data: {last}\n\n", "data: [DONE]\n\n"]
