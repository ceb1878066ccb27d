"""Golden cases: a model and the world it meets in; the objects and the status out.

`pytest tests/golden --update-golden` writes the expected files anew; read the difference before it is committed.
"""

import json
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.golden import story
from tests.golden.pod_security import violations

from smallmodel_operator.api.v1alpha1.smallmodel import SmallModel
from smallmodel_operator.api.v1alpha1.smallmodel_status import SmallModelStatus

VERSIONS = ("1.34", "1.36")


class _Dumper(yaml.SafeDumper):
    """Block style, no anchors, long texts folded."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text(documents: list[Any]) -> str:
    plain = json.loads(json.dumps(documents))
    return yaml.dump_all(plain, Dumper=_Dumper, sort_keys=False, width=118, allow_unicode=True)


def rendered(case: str) -> dict[str, str]:
    """The two expected files of a case."""
    played = story.play(case)
    report = {
        "hold": played.hold,
        "deletesSurplus": played.deletes_surplus,
        "lookAgainSeconds": played.look_again_seconds,
        "status": played.status,
    }
    return {
        "objects.yaml": text([*played.kept, *map(sealed, played.secrets), *played.objects]),
        "status.yaml": text([report]),
    }


def sealed(secret: Any) -> dict[str, Any]:
    """A Secret with the names of its entries only."""
    return {**secret, "data": dict.fromkeys(secret["data"], "…")}


@cache
def validate(obj: str, version: str) -> None:
    """Strict schema validation; cases share most of their objects."""
    kubernetes_validate.validate(json.loads(obj), version, strict=True)


@pytest.mark.parametrize("case", story.CASES)
def test_case(case: str, request: pytest.FixtureRequest) -> None:
    for name, made in rendered(case).items():
        path = story.HERE / case / name
        if request.config.getoption("--update-golden"):
            path.write_text(made)
        assert path.exists(), f"{path.name} is missing: run with --update-golden"
        assert made == path.read_text(), f"{case}/{name} changed; if that is wanted, run with --update-golden"


@pytest.mark.parametrize("case", story.CASES)
def test_every_object_is_one_the_api_server_takes(case: str) -> None:
    played = story.play(case)
    for obj in (*played.objects, *played.kept, *played.secrets):
        for version in VERSIONS:
            validate(json.dumps(obj), version)


@pytest.mark.parametrize("case", story.CASES)
def test_every_pod_passes_pod_security_restricted(case: str) -> None:
    for obj in story.play(case).objects:
        if template := obj.get("spec", {}).get("template"):
            assert violations(template["spec"]) == []
            assert template["spec"]["automountServiceAccountToken"] is False
            assert all(c["securityContext"]["readOnlyRootFilesystem"] for c in template["spec"]["containers"])


@pytest.mark.parametrize("case", story.CASES)
def test_every_status_fits_the_schema_with_no_field_left_over(case: str) -> None:
    """A field the CRD does not know is pruned, and the operator would write it again for ever."""
    status = story.play(case).status
    parsed = SmallModelStatus.model_validate(status)
    assert parsed.model_dump(by_alias=True, exclude_unset=True) == status


@pytest.mark.parametrize("case", story.CASES)
def test_every_model_is_one_a_user_may_write(case: str) -> None:
    SmallModel.model_validate({"spec": story.model(case)["spec"]})


@pytest.mark.parametrize("case", story.CASES)
def test_a_second_pass_over_the_same_world_says_and_does_the_same(case: str) -> None:
    assert story.play.__wrapped__(case) == story.play(case)


def test_there_are_cases() -> None:
    assert len(story.CASES) >= 14
