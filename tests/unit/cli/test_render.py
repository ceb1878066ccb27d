"""`slm render`: the objects of a model without a cluster."""

import json

import pytest
import yaml
from tests.fakes import objects
from tests.unit.cli.conftest import Write

from smallmodel_operator.cli.render import render

DECLARED = {"resources": {"requests": {"memory": "1Gi"}}}


def test_the_objects_are_printed_owned_and_ready_to_read(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert render([write(objects.profile(), objects.model(compute=DECLARED))], "yaml") == 0
    made = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [o["kind"] for o in made] == ["Deployment", "Job", "NetworkPolicy", "Service", "Service"]
    assert all(o["metadata"]["ownerReferences"][0]["name"] == "bot" for o in made)


def test_json_is_one_list(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert render([write(objects.profile(), objects.model(compute=DECLARED))], "json") == 0
    assert len(json.loads(capsys.readouterr().out)["items"]) == 5


def test_a_manifest_as_users_write_it_needs_no_uid(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    body = objects.model(compute=DECLARED)
    body["metadata"] = {"name": "bot"}
    assert render([write(objects.profile(), body)], "yaml") == 0
    assert "namespace: default" in capsys.readouterr().out


def test_what_waits_is_noted(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert render([write(objects.profile(), objects.model())], "yaml") == 0
    assert "Inspecting" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"kind": "SmallModel"}, "m.yaml#1 SmallModel/?: .: 'spec' is a required property"),
        ({"kind": "ComputeProfile"}, "m.yaml#1 ComputeProfile/?: .: 'spec' is a required property"),
        ({"kind": "ModelRoute", "metadata": {"name": "a"}, "spec": {"targets": 7}}, "spec.targets: 7 is not of type"),
        (objects.model(source={"uri": 5}), "spec.source.uri: 5 is not of type 'string'"),
    ],
)
def test_what_the_api_server_would_refuse_is_said_and_hides_no_other(
    write: Write, capsys: pytest.CaptureFixture[str], body: dict[str, object], says: str
) -> None:
    whole = {"apiVersion": "smallmodel.dev/v1alpha1", **body}
    assert render([write(whole, objects.profile(), objects.model("good", compute=DECLARED))], "yaml") == 1
    printed = capsys.readouterr()
    assert says in printed.err
    assert "name: good" in printed.out


def test_a_refused_model_does_not_hide_the_others(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    broken = objects.model("broken", compute={"profileRef": {"name": "gone"}})
    assert render([write(objects.profile(), broken, objects.model("fine", compute=DECLARED))], "yaml") == 1
    out, err = capsys.readouterr()
    assert "broken: ProfileNotFound" in err
    assert "name: fine" in out


def test_an_unreadable_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert render(["gone.yaml"], "yaml") == 1
    assert "gone.yaml" in capsys.readouterr().err


def test_a_profile_that_is_in_no_file_is_missed_with_what_to_add(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = objects.model(compute=DECLARED)
    assert render([write(alone)], "yaml") == 1
    err = capsys.readouterr().err
    assert "no file it was given holds ComputeProfile 'default'" in err
    assert "kubectl get computeprofile default -o yaml > profile.yaml" in err
    assert render([write(objects.profile(), alone)], "yaml") == 0


def test_a_route_has_a_service_and_says_what_is_wrong_with_the_models_beside_it(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    route = objects.route(small=1)
    route["spec"]["targets"][0]["smallModelRef"] = {"name": "bot", "namespace": "shared"}
    shared = objects.model(compute=DECLARED)
    shared["metadata"]["namespace"] = "shared"
    assert render([write(route)], "yaml") == 0
    said = capsys.readouterr()
    (service,) = yaml.safe_load_all(said.out)
    assert (service["kind"], service["metadata"]["ownerReferences"][0]["kind"]) == ("Service", "ModelRoute")
    assert said.err == "", "a model that is in no file may be in the cluster"
    assert render([write(objects.profile(), route, shared)], "yaml") == 0
    assert "TargetForbidden" in capsys.readouterr().err
