"""`slm lint`: what the API server would refuse, said before it is asked."""

import sys

from pydantic import ValidationError

from smallmodel_operator.api.names import API_VERSION
from smallmodel_operator.api.rules import violations
from smallmodel_operator.api.schema import strict_errors
from smallmodel_operator.cli.manifests import Unreadable, read


def lint(files: list[str]) -> int:
    """Print one line per problem and one of counts; 1 when there are problems."""
    problems, checked = 0, 0
    try:
        for where, obj in read(files):
            if obj.get("apiVersion") != API_VERSION:
                continue
            checked += 1
            name = (obj.get("metadata") or {}).get("name", "?")
            try:
                found = [*strict_errors(obj), *(f"{v.field}: {v.message}" for v in violations(obj))]
            except ValidationError as error:
                found = [str(error)]
            for problem in found:
                print(f"{where} {obj['kind']}/{name}: {problem}")
            problems += len(found)
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{checked} object(s) checked, {problems} problem(s)")
    return 1 if problems else 0
