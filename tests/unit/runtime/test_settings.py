"""Settings come from SLM_… variables; each has a default."""

import socket

import pytest
from pydantic import ValidationError

from smallmodel_operator.runtime.settings import Settings


def test_defaults() -> None:
    settings = Settings()
    assert (settings.namespace, settings.lease_name, settings.http_port) == (
        "smallmodel-system",
        "smallmodel-operator",
        8081,
    )
    assert settings.watch_namespaces == ()
    assert settings.identity.startswith(f"{socket.gethostname()}-")
    assert settings.identity != Settings().identity, "two processes on one host are two candidates"  # type: ignore[call-arg]


@pytest.mark.parametrize(("text", "namespaces"), [("", ()), ("a", ("a",)), ("a, b ,c", ("a", "b", "c")), (" , ", ())])
def test_namespaces_are_a_list_with_commas(
    monkeypatch: pytest.MonkeyPatch, text: str, namespaces: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SLM_WATCH_NAMESPACES", text)
    assert Settings().watch_namespaces == namespaces


def test_what_models_need_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLM_IMAGE", "registry.test/op@sha256:x")
    monkeypatch.setenv("SLM_NAMESPACE", "slm")
    monkeypatch.setenv("SLM_CLUSTER_DOMAIN", "corp.test")
    monkeypatch.setenv("SLM_CA_CONFIG_MAP", "ca")
    site = Settings().site()
    assert (site.job_image, site.gateway_namespace) == ("registry.test/op@sha256:x", "slm")
    assert (site.cluster_domain, site.ca_config_map) == ("corp.test", "ca")


def test_the_canary_is_off_unless_it_is_told_how_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """`slm run` at a desk starts no pods; the chart says so."""
    assert Settings().canary_seconds == 0
    monkeypatch.setenv("SLM_CANARY_SECONDS", "600")
    assert Settings().canary_seconds == 600


@pytest.mark.parametrize("seconds", ["59", "1", "-1", "86401", "often"])
def test_a_canary_in_a_hurry_is_refused(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("SLM_CANARY_SECONDS", seconds)
    with pytest.raises(ValidationError):
        Settings()


def test_the_claim_for_downloads_is_the_installations_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLM_CLAIM_SIZE", "200Gi")
    monkeypatch.setenv("SLM_CLAIM_STORAGE_CLASS", "fast")
    monkeypatch.setenv("SLM_CLAIM_ACCESS_MODE", "ReadWriteMany")
    site = Settings().site()
    assert (site.claim_size, site.claim_storage_class, site.claim_access_mode) == ("200Gi", "fast", "ReadWriteMany")
    monkeypatch.setenv("SLM_CLAIM_SIZE", "much")
    with pytest.raises(ValueError, match="claim_size"):
        Settings()


def test_networks_of_the_cluster_are_cidrs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLM_CLUSTER_NETWORKS", "10.244.0.0/16, fd00::/48")
    assert Settings().site().cluster_networks == ("10.244.0.0/16", "fd00::/48")
    for wrong, said in (("10.244.0.1/16", "host bits"), ("pods", "pods"), ("0.0.0.0/0", "leaves no download a way")):
        monkeypatch.setenv("SLM_CLUSTER_NETWORKS", wrong)
        with pytest.raises(ValueError, match=said):
            Settings()


def test_where_downloads_go_is_the_installations_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Settings().site()
    assert (site.hub, site.proxy, site.no_proxy) == ("https://huggingface.co", "", "")
    monkeypatch.setenv("SLM_HUB_ENDPOINT", "https://artifacts.corp.test:8443/api/huggingface")
    monkeypatch.setenv("SLM_PROXY", "http://proxy.corp.test:3128")
    monkeypatch.setenv("SLM_NO_PROXY", ".svc,corp.test")
    site = Settings().site()
    assert site.hub == "https://artifacts.corp.test:8443/api/huggingface"
    assert (site.proxy, site.no_proxy) == ("http://proxy.corp.test:3128", ".svc,corp.test")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLM_HUB_ENDPOINT", "http://hub.test"),
        ("SLM_HUB_ENDPOINT", "https://me:secret@hub.test"),
        ("SLM_HUB_ENDPOINT", "https://hub.test/"),
        ("SLM_PROXY", "http://me:secret@proxy.test:3128"),
        ("SLM_PROXY", "proxy.test"),
        ("SLM_NO_PROXY", "a\nb"),
    ],
)
def test_an_address_with_credentials_or_of_no_use_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()


def test_prometheus_is_told_by_an_address_and_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Settings().prometheus_url
    monkeypatch.setenv("SLM_PROMETHEUS_URL", "http://prometheus.monitoring.svc:9090")
    monkeypatch.setenv("SLM_PROMETHEUS_MATCH_LABELS", '{"cluster": "north"}')
    settings = Settings()
    assert settings.prometheus_url == "http://prometheus.monitoring.svc:9090"
    assert settings.prometheus_match_labels == {"cluster": "north"}
    assert settings.prometheus_scrape_seconds == 15


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("URL", "http://user:secret@prometheus"), ("URL", "prometheus:9090"), ("SCRAPE_SECONDS", "60"),
        ("MATCH_LABELS", '{"a-b": "c"}'), ("MATCH_LABELS", '{"cluster": "a\\"} or vector(1)"}'),
    ],
)  # fmt: skip
def test_what_is_no_prometheus_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"SLM_PROMETHEUS_{name}", value)
    with pytest.raises(ValueError, match=f"prometheus_{name.lower()}"):
        Settings()


def test_prometheus_and_told_gateways_do_not_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLM_PROMETHEUS_URL", "http://prometheus:9090")
    monkeypatch.setenv("SLM_GATEWAY_URLS", "http://127.0.0.1:10091")
    with pytest.raises(ValueError, match="SLM_GATEWAY_URLS and SLM_PROMETHEUS_URL"):
        Settings()
