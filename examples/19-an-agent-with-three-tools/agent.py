"""An agent with three tools, of the standard library alone: python3 agent.py "Where is order 17?"

OPENAI_BASE_URL, OPENAI_API_KEY and MODEL come from the route's Secret (`envFrom`). The model chooses each step under a
JSON schema made of the tools, so a small one, too, gives calls that can be run. Prints one JSON object.
"""

import json
import os
import sys
import urllib.error
import urllib.request

STEPS = int(os.environ.get("STEPS", "3"))
ORDERS = {17: ("lamp", "shipped"), 42: ("desk", "packed")}


def find_order(order):
    return f"Order {order} is a {ORDERS[order][0]}." if order in ORDERS else f"There is no order {order}."


def order_status(order):
    return f"Order {order} is {ORDERS[order][1]}." if order in ORDERS else f"There is no order {order}."


def refund_rules(order):
    return "Refunds: within 30 days of delivery."


TOOLS = {tool.__name__: tool for tool in (find_order, order_status, refund_rules)}
ARGUMENTS = {
    "type": "object",
    "properties": {"order": {"type": "integer", "minimum": 1, "maximum": 99}},
    "required": ["order"],
    "additionalProperties": False,
}
OFFERED = [{"type": "function", "function": {"name": name, "parameters": ARGUMENTS}} for name in TOOLS]
STEP = {
    "type": "object",
    "properties": {"tool": {"enum": list(TOOLS)}, "arguments": ARGUMENTS},
    "required": ["tool", "arguments"],
    "additionalProperties": False,
}


def ask(messages, **more):
    body = {"model": os.environ["MODEL"], "messages": messages, "temperature": 0, "max_tokens": 120, **more}
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"].rstrip("/") + "/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


def run(question, offered=OFFERED, steps=STEPS):
    """The calls that were made, and the answer; or the gateway's error, where it ends the conversation."""
    messages, calls = [{"role": "user", "content": question}], []
    form = {"type": "json_schema", "json_schema": {"name": "step", "schema": STEP}}
    try:
        for number in range(steps):
            step = json.loads(ask(messages, tools=offered, tool_choice="none", response_format=form))
            name, arguments = step["tool"], json.dumps(step["arguments"])
            calls.append({"tool": name, "arguments": step["arguments"], "result": TOOLS[name](**step["arguments"])})
            call = {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": calls[-1]["result"]})
        return {"calls": calls, "answer": ask(messages, tools=offered)}
    except urllib.error.HTTPError as error:
        return {"calls": calls, "refused": {"status": error.code, **json.load(error)["error"]}}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1] if len(sys.argv) > 1 else "Where is order 17?")))
