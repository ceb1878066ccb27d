"""Answers with citations, of the standard library alone: python3 cite.py "How long do refunds take?"

Finds the documents that share most words with the question, gives them to the model, and asks for an answer and its
citation under a JSON schema in which only their ids can be cited. Prints one JSON object.
"""

import json
import re
import sys

from agent import ask

DOCUMENTS = {
    "returns": "Goods can be returned within 30 days of delivery.",
    "refunds": "Refunds are paid within 5 working days after the parcel is back.",
    "delivery": "Parcels arrive in 2 to 3 working days.",
    "hours": "Support is there on working days until 17:30.",
}


def words(text):
    return set(re.findall(r"\w+", text.lower()))


def found(question, most=2):
    """Ids of the documents nearest to the question."""
    return sorted(DOCUMENTS, key=lambda name: (-len(words(question) & words(DOCUMENTS[name])), name))[:most]


def run(question):
    ids = found(question)
    schema = {
        "type": "object",
        "properties": {"cites": {"enum": ids}, "answer": {"type": "string", "maxLength": 200}},
        "required": ["cites", "answer"],
        "additionalProperties": False,
    }
    given = "\n".join(f"[{name}] {DOCUMENTS[name]}" for name in ids)
    messages = [{"role": "system", "content": given}, {"role": "user", "content": question}]
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return {"given": ids, **json.loads(ask(messages, response_format=form, max_tokens=200))}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1] if len(sys.argv) > 1 else "How long do refunds take?")))
