"""`prometheus.url` and what goes with it: what the operator hears, where it may go, and what is refused."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from tests.chart.conftest import CHART, Render, one

from smallmodel_operator.runtime.settings import Settings

Run = Callable[..., subprocess.CompletedProcess[str]]
URL = "prometheus.url=http://prometheus.monitoring.svc:9090"
TO = 'prometheus.to=[{"podSelector":{}}]'


def pod(objects: Any) -> dict[str, Any]:
    return dict(one(objects, "Deployment")["spec"]["template"]["spec"])


def environment(objects: Any) -> dict[str, str]:
    (container,) = pod(objects)["containers"]
    return {e["name"]: e["value"] for e in container["env"] if e["name"].startswith("SLM_PROMETHEUS")}


def policy(objects: Any) -> list[dict[str, Any]]:
    return list(one(objects, "NetworkPolicy", "smallmodel-operator")["spec"]["egress"])


def test_by_default_there_is_none_and_no_way_to_one(render: Render) -> None:
    objects = render("minimal")
    assert environment(objects) == {}
    assert "prometheus" not in json.dumps([policy(objects), pod(objects)["volumes"]])
    assert not [rule for rule in policy(objects) if any(p["port"] == 53 for p in rule["ports"])]


def test_the_operator_is_told_and_understands_it(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = render("full")
    for name, value in environment(objects).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.prometheus_url == "https://prometheus.monitoring.svc.corp.internal:9091/prom"
    assert settings.prometheus_scrape_seconds == 30
    assert settings.prometheus_match_labels == {"cluster": "north"}
    (container,) = pod(objects)["containers"]
    (mounted,) = [m for m in container["volumeMounts"] if m["name"] == "prometheus"]
    assert (mounted["mountPath"], mounted["readOnly"]) == (str(settings.prometheus_secret_dir), True)
    (volume,) = [v for v in pod(objects)["volumes"] if v["name"] == "prometheus"]
    assert volume["projected"]["sources"] == [{"secret": {"name": "prometheus-reader"}}]


def test_the_way_to_it_is_the_one_that_is_named(render: Render) -> None:
    rules = policy(render("minimal", "--set", URL, "--set-json", TO))
    assert {"to": [{"podSelector": {}}], "ports": [{"protocol": "TCP", "port": 9090}]} in rules


def test_an_url_without_the_way_to_it_is_refused(run_helm: Run) -> None:
    done = run_helm("template", "x", str(CHART), "--set", f"image.registry=r.internal,{URL}")
    assert done.returncode != 0
    assert "prometheus.to is empty" in done.stderr
    done = run_helm(
        "template", "x", str(CHART), "--set", f"image.registry=r.internal,networkPolicy.enabled=false,{URL}"
    )
    assert done.returncode == 0, "who writes policies by hand knows"


@pytest.mark.parametrize(
    "value",
    [
        "url=prometheus:9090", "url=http://user:secret@prometheus", "url=ftp://prometheus", "scrapeSeconds=60",
        "scrapeSeconds=0", "matchLabels.a-b=c", 'matchLabels.cluster=a"b', "secretName=Upper", "port=0",
        "to=monitoring", "adress=x",
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(run_helm: Run, value: str) -> None:
    done = run_helm("template", "x", str(CHART), "--set", f"image.registry=r.internal,prometheus.{value}")
    assert done.returncode != 0
    assert value.partition("=")[0].rpartition(".")[2] in done.stderr
