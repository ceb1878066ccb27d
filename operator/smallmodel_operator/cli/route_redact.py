"""`slm route redact`: a request's texts with what the detectors find replaced by its kind. On files, no cluster."""

import json
import sys

from smallmodel_operator.cli.route_check import UNUSABLE, Unusable, body_of, rules_of
from smallmodel_operator.routing.detect.redact import redacted
from smallmodel_operator.routing.detect.request import Unread, texts
from smallmodel_operator.routing.detect.scanner import Undecided

REPLACED = 1


def redact(name: str, policy: str) -> int:
    """Print the texts, a line of JSON each; 0 they are as they were, 1 something was replaced, 2 nothing is printed."""
    try:
        rules = rules_of(policy)
        if rules.missing:
            raise Unusable(f"`detectors`: {', '.join(rules.missing)} need a recognizer, which is not asked here.")
        body, most = body_of(name), rules.policy.most_bytes
        done = redacted(body, rules.scanner, most)
        before = {(text.place, text.text) for text in texts(body, most)}
    except Unusable as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    except (Unread, Undecided) as error:
        print(f"{name} is printed in no part, for what is in it cannot be told: {error.args[0]}.", file=sys.stderr)
        return UNUSABLE
    for text in done:
        print(json.dumps({"place": text.place, "text": text.text}, ensure_ascii=False))
    return REPLACED if any((text.place, text.text) not in before for text in done) else 0
