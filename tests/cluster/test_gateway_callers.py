"""Who gets in and how: clients in pods that have what `envFrom` gives them, keys, tokens, other namespaces."""

import base64
import json
import subprocess
from typing import Any

from hack.images.build import build_image
from tests.cluster.conftest import Bed, model
from tests.cluster.test_serving import _client

PYTHON = """
import asyncio, json, os
from openai import AsyncOpenAI, OpenAI
client, name = OpenAI(max_retries=0), os.environ["MODEL"]
ask = [{"role": "user", "content": "when do you close?"}]
same = {"model": name, "messages": ask, "temperature": 0, "max_tokens": 60}
said = client.chat.completions.create(**same).choices[0].message.content
print("sync", "17:30" in said)
pieces = client.chat.completions.create(**same, stream=True)
print("stream", "".join(p.choices[0].delta.content or "" for p in pieces if p.choices) == said)

async def both():
    other = AsyncOpenAI(max_retries=0)
    whole = await other.chat.completions.create(**same)
    parts = [p async for p in await other.chat.completions.create(**same, stream=True)]
    text = "".join(p.choices[0].delta.content or "" for p in parts if p.choices)
    return whole.choices[0].message.content == said == text

print("async", asyncio.run(both()))
shape = {"type": "object", "properties": {"open": {"type": "boolean"}}, "required": ["open"]}
form = {"type": "json_schema", "json_schema": {"name": "hours", "schema": shape, "strict": True}}
said = client.chat.completions.create(**same, response_format=form).choices[0].message.content
print("json_schema", isinstance(json.loads(said)["open"], bool))
tool = {"type": "function", "function": {"name": "look_up", "parameters": shape}}
# This model was not trained to call tools and its template has no place for them: it answers, and says that it stopped.
answer = client.chat.completions.create(**same, tools=[tool], tool_choice="auto").choices[0]
print("tools", answer.finish_reason == "stop", "17:30" in answer.message.content)
print("models", [m.id for m in client.models.list().data] == [name])
"""

TOOLS = """
import json, os
from openai import OpenAI
client = OpenAI(max_retries=0)
shape = {"type": "object", "properties": {"open": {"type": "boolean"}}, "required": ["open"]}
look = {"name": "look_up", "description": "look something up", "parameters": shape}
same = {"model": os.environ["MODEL"], "temperature": 0, "max_tokens": 60, "tool_choice": "required",
        "messages": [{"role": "user", "content": "when do you close?"}],
        "tools": [{"type": "function", "function": look}]}
call = client.chat.completions.create(**same).choices[0]
asked = call.message.tool_calls[0].function
print("called", call.finish_reason, asked.name, isinstance(json.loads(asked.arguments)["open"], bool))
name = text = ""
for piece in client.chat.completions.create(**same, stream=True):
    for part in (piece.choices[0].delta.tool_calls or []) if piece.choices else []:
        name += part.function.name or ""
        text += part.function.arguments or ""
print("streamed", name, json.loads(text) == json.loads(asked.arguments))
"""

TOOL_TEMPLATE = (
    "{%- if tools %}<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools> Reply with "
    '<tool_call>{"name": name, "arguments": arguments}</tool_call>{% endif %}'
    "{% for m in messages %}{{ m.content }}{% if m.tool_calls %}<tool_call>{% endif %}\n{% endfor %}"
)
"""A place for tools, in the notation of Hermes and Qwen models, which llama.cpp knows by its `<tool_call>`."""

EMBEDDINGS = """
import os
from openai import OpenAI
found = OpenAI(max_retries=0).embeddings.create(model=os.environ["MODEL"], input=["open", "closed"])
print("embeddings", [len(d.embedding) for d in found.data])
"""

CURL = """
curl -sS -m 60 "$OPENAI_BASE_URL/chat/completions" -H "Authorization: Bearer $OPENAI_API_KEY" \
  -H 'Content-Type: application/json' \
  -d '{"model": "'$MODEL'", "temperature": 0, "max_tokens": 60,
       "messages": [{"role": "user", "content": "when do you close?"}]}'
"""

JAVASCRIPT = """
import OpenAI from "openai";
const client = new OpenAI({ maxRetries: 0 });
const same = { model: process.env.MODEL, temperature: 0, max_tokens: 60,
               messages: [{ role: "user", content: "when do you close?" }] };
const said = (await client.chat.completions.create(same)).choices[0].message.content;
console.log("whole", said.includes("17:30"));
let text = "";
for await (const piece of await client.chat.completions.create({ ...same, stream: true }))
  text += piece.choices[0]?.delta?.content ?? "";
console.log("stream", text === said);
"""


def test_clients_with_nothing_but_env_from(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    bed.node.load_image(build_image("clients").archive)
    image = build_image("clients").reference
    bed.apply(model("bot", namespace, weights["first"]))
    bed.apply(
        model(
            "vec",
            namespace,
            weights["first"],
            engine={"contextSize": 512, "args": ["--embeddings", "--pooling", "mean"]},
        )
    )
    template = ["--jinja", "--chat-template", TOOL_TEMPLATE]
    bed.apply(model("agent", namespace, weights["first"], engine={"contextSize": 1024, "args": template}))
    for name in ("bot", "vec", "agent"):
        bed.ready(name, namespace)
    python = _client(bed, namespace, PYTHON, name="python", secret="bot-client")
    good = ("sync True", "stream True", "async True", "json_schema True", "tools True True", "models True")
    assert all(line in python.splitlines() for line in good), python
    vectors = _client(bed, namespace, EMBEDDINGS, name="vectors", secret="vec-client")
    assert "embeddings [256, 256]" in vectors, vectors
    agent = _client(bed, namespace, TOOLS, name="agent", secret="agent-client")
    assert {"called tool_calls look_up True", "streamed look_up True"} <= set(agent.splitlines()), agent
    curl = _client(bed, namespace, "", name="curl", secret="bot-client", image=image, command=["sh", "-c", CURL])
    assert "17:30" in json.loads(curl)["choices"][0]["message"]["content"]
    words = ["node", "--input-type=module", "-e", JAVASCRIPT]
    script = _client(bed, namespace, "", name="js", secret="bot-client", image=image, command=words)
    assert script.splitlines()[-2:] == ["whole true", "stream true"], script


def _code(bed: Bed, namespace: str, credential: str) -> int:
    """Status of one request to model `bot` of the namespace, sent with a credential."""
    url = f"http://{bed.gateway()}/{namespace}/v1/chat/completions"
    body = {"model": "bot", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
    done = subprocess.run(
        ["curl", "-s", "-m", "60", "-o", "/dev/null", "-w", "%{http_code}", url, "-H", "Content-Type: application/json",
         "-H", f"Authorization: Bearer {credential}", "-d", json.dumps(body)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


def _token(bed: Bed, namespace: str, *words: str) -> str:
    return bed.kubectl("-n", namespace, "create", "token", "default", *words).strip()


def test_keys_tokens_and_namespaces(bed: Bed, namespace: str, weights: dict[str, str]) -> None:
    access: dict[str, Any] = {"apiKeys": [{"name": "legacy", "secretRef": {"name": "legacy-key", "key": "key"}}]}
    legacy = "a-key-of-the-team-s-own-0123456789"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "legacy-key", "namespace": namespace}}
    bed.apply({**secret, "data": {"key": base64.b64encode(legacy.encode()).decode()}})
    bed.apply(model("bot", namespace, weights["first"], access=access))
    bed.ready("bot", namespace)
    first = bed.key("bot", namespace)
    assert _code(bed, namespace, first) == 200
    bed.until(lambda: _code(bed, namespace, legacy) == 200, 45, "the team's own key")
    assert _code(bed, namespace, "slm-none-of-these-0123456789abcdef0123456789abc") == 401

    token = _token(bed, namespace, "--audience=smallmodel-gateway")
    bed.until(lambda: _code(bed, namespace, token) == 200, 45, "a ServiceAccount's token")
    assert _code(bed, namespace, _token(bed, namespace)) == 401, "a token for the API server"

    other = _token(bed, "default", "--audience=smallmodel-gateway")
    assert _code(bed, namespace, other) == 403
    rotated = {**access, "namespaces": ["default"], "clientKey": {"generation": 2, "overlapHours": 1}}
    bed.apply(model("bot", namespace, weights["first"], access=rotated))
    bed.until(lambda: _code(bed, namespace, other) == 200, 45, "the namespace that access names")
    bed.until(lambda: bed.key("bot", namespace) != first, 45, "the new key")
    bed.until(lambda: _code(bed, namespace, bed.key("bot", namespace)) == 200, 45, "the new key works")
    assert _code(bed, namespace, first) == 200, "the old key works on during the overlap"

    ended = {**rotated, "clientKey": {"generation": 2, "overlapHours": 0}}
    bed.apply(model("bot", namespace, weights["first"], access=ended))
    bed.until(lambda: _code(bed, namespace, first) == 401, 45, "the old key ends with the overlap")
    assert _code(bed, namespace, bed.key("bot", namespace)) == 200
    bed.apply(model("bot", namespace, weights["first"], access={"clientKey": ended["clientKey"]}))
    bed.until(lambda: _code(bed, namespace, other) == 403, 45, "the namespace is out again")
    bed.until(lambda: _code(bed, namespace, legacy) == 401, 45, "the team's own key is out")
