"""Who reaches a model pod, and what it reaches."""

from smallmodel_operator.boundary import build


def test_a_model_pod_has_no_way_out() -> None:
    spec = build.pods_policy("bot", "support", "smallmodel-system")["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    assert spec["egress"] == []


def test_in_come_the_gateways_and_the_operator_on_one_port() -> None:
    spec = build.pods_policy("bot", "support", "slm-sys")["spec"]
    (rule,) = spec["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]
    (peer,) = rule["from"]
    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "slm-sys"}}
    (chosen,) = peer["podSelector"]["matchExpressions"]
    assert (chosen["operator"], chosen["values"]) == ("In", ["gateway", "operator"])


def test_it_covers_every_pod_of_the_model_jobs_too() -> None:
    spec = build.pods_policy("bot", "support", "x")["spec"]
    assert spec["podSelector"] == {"matchLabels": {"smallmodel.dev/model": "bot"}}


def test_only_downloads_get_out_and_nothing_comes_in_by_that() -> None:
    policy = build.download_policy("bot", "support")
    assert policy["metadata"]["name"] == "bot-download"
    spec = policy["spec"]
    assert spec["policyTypes"] == ["Egress"]
    assert spec["podSelector"]["matchLabels"] == {"smallmodel.dev/model": "bot", "smallmodel.dev/role": "download"}


def test_policies_are_found_by_the_models_label() -> None:
    for policy in (build.pods_policy("bot", "support", "x"), build.download_policy("bot", "support")):
        assert policy["metadata"]["labels"]["smallmodel.dev/model"] == "bot"
        assert policy["metadata"]["namespace"] == "support"
