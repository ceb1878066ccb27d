from typing import Any

import pytest

from smallmodel_operator.api.names import LABEL_ARTIFACT, LABEL_MODEL, LABEL_ROLE, MAX_MODEL_NAME, short_hash
from smallmodel_operator.weights import jobs, source
from smallmodel_operator.weights.parse import parse
from smallmodel_operator.weights.types import WeightsRequest

SHA = "b" * 64
OCI = f"oci://registry.test/m@sha256:{SHA}"


def request(uri: str = OCI, **changes: Any) -> WeightsRequest:
    values = {
        "name": "bot", "namespace": "support", "uri": uri, "path": "", "sha256": "", "job_image": "op:1",
        "memory_declared": False, **changes,
    }  # fmt: skip
    return WeightsRequest(**values)


def built(uri: str = OCI, attempt: int = 0, **changes: Any) -> dict[str, Any]:
    wish = request(uri, **changes)
    where = parse(wish.uri, wish.path, wish.sha256)
    if isinstance(where, source.Downloaded):
        return jobs.download(wish, where, attempt, "uid-1", wish.sha256)
    return jobs.inspect(wish, where, attempt, "uid-1" if isinstance(where, source.ClaimSource) else "")


def pod(job: dict[str, Any]) -> dict[str, Any]:
    return dict(job["spec"]["template"]["spec"])


HTTPS = {"uri": "https://weights.test/m.gguf", "sha256": SHA}


@pytest.mark.parametrize("wish", [{}, {"uri": "pvc://models/m.gguf"}, HTTPS])
def test_pods_pass_pod_security_restricted_and_hold_no_token(wish: dict[str, Any]) -> None:
    spec = pod(built(**wish))
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 65532
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert container["image"] == "op:1"


def test_an_inspection_only_reads() -> None:
    job = built(path="model.gguf")
    (container,) = pod(job)["containers"]
    assert all(m["readOnly"] for m in container["volumeMounts"])
    assert container["args"] == [
        "inspect-weights", "--root", "/weights", "--artifact", f"sha256:{SHA}/model.gguf", "--path", "model.gguf",
    ]  # fmt: skip
    assert "fsGroup" not in pod(job)["securityContext"], "the owner of files in a user's claim is not ours to change"


def test_an_inspection_of_a_claim_knows_it() -> None:
    assert pod(built("pvc://models/m.gguf"))["containers"][0]["args"][-2:] == ["--claim", "uid-1"]


def test_a_pinned_file_of_a_claim_is_checked_and_may_take_longer() -> None:
    plain, pinned = (parse("pvc://models/m.gguf", "", sha256) for sha256 in ("", SHA))
    arguments = pod(built("pvc://models/m.gguf", sha256=SHA))["containers"][0]["args"]
    assert arguments[arguments.index("--sha256") + 1] == SHA
    assert jobs.reading_seconds(request(), pinned) > jobs.reading_seconds(request(), plain) > 0
    assert jobs.reading_seconds(request(verification="a/k"), plain) == jobs.reading_seconds(request(), pinned)


def test_the_public_key_is_mounted_by_the_kubelet_and_may_lack() -> None:
    spec = pod(built("pvc://models/m.gguf", verification="release-keys/release.pub"))
    (volume,) = [v for v in spec["volumes"] if v["name"] == "key"]
    items = [{"key": "release.pub", "path": "key.pub"}]
    assert volume["secret"] == {"secretName": "release-keys", "optional": True, "items": items}
    (container,) = spec["containers"]
    assert {"name": "key", "mountPath": "/etc/smallmodel-key", "readOnly": True} in container["volumeMounts"]
    assert container["args"][-4:] == [
        "--signed-by", "release-keys/release.pub", "--public-key", "/etc/smallmodel-key/key.pub",
    ]  # fmt: skip
    assert "env" not in container
    assert all(v["name"] != "key" for v in pod(built())["volumes"])


def test_work_under_another_key_is_other_work() -> None:
    marks = {
        built(**changes)["metadata"]["labels"][LABEL_ARTIFACT]
        for changes in ({}, {"verification": "a/k.pub"}, {"verification": "b/k.pub"}, {"verification": "a/other.pub"})
    }
    assert len(marks) == 4, "what a Job found for the one must not be taken for the other"


def test_an_inspection_has_no_deadline_that_a_pull_would_use_up() -> None:
    """Kubernetes counts it from the Job's start; 20 GB over a slow line are pulled for longer than they are read."""
    for job in (built(), built("pvc://models/m.gguf", sha256=SHA)):
        assert "activeDeadlineSeconds" not in job["spec"]
        assert "activeDeadlineSeconds" not in pod(job)


def test_a_download_writes_to_the_claim_and_knows_it() -> None:
    spec = pod(built(**HTTPS))
    (container,) = spec["containers"]
    assert spec["volumes"][0]["persistentVolumeClaim"] == {"claimName": "smallmodel-weights"}
    assert "subPath" not in container["volumeMounts"][0], "the folder is made by the download"
    assert spec["securityContext"]["fsGroup"] == 65532
    arguments = dict(zip(container["args"][1::2], container["args"][2::2], strict=True))
    assert arguments["--folder"] == f"/weights/sha256-{SHA}"
    assert arguments["--claim"] == "uid-1"
    assert "env" not in container


def test_a_private_authority_is_mounted_and_trusted() -> None:
    spec = pod(built(**HTTPS, ca_config_map="company-ca"))
    assert {"name": "ca", "configMap": {"name": "company-ca", "optional": True}} in spec["volumes"]
    assert spec["containers"][0]["args"][-2:] == ["--ca-file", "/etc/smallmodel-ca/ca.crt"]


def test_labels_and_names_say_what_it_is() -> None:
    job = built(name="b" * MAX_MODEL_NAME, **HTTPS)
    assert len(job["metadata"]["name"]) <= 63
    assert job["metadata"]["name"].startswith("b" * MAX_MODEL_NAME + "-download-")
    for marks in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        assert marks[LABEL_ROLE] == "download"
        assert marks[LABEL_MODEL] == "b" * MAX_MODEL_NAME
        assert marks[LABEL_ARTIFACT] == short_hash(f"sha256:{SHA}")
    assert built()["metadata"]["name"].startswith("bot-inspect-")


def test_a_template_never_changes_under_a_name() -> None:
    names = {
        built(**changes)["metadata"]["name"]
        for changes in (
            {},
            {"job_image": "op:2"},
            {"path": "other.gguf"},
            {"node_selector": {"disk": "fast"}},
            {"tolerations": ({"operator": "Exists"},)},
            {"attempt": 1},
            {"verification": "a/k.pub"},
        )
    }
    assert len(names) == 7
    assert built() == built()


def test_placement_follows_the_model() -> None:
    spec = pod(built(node_selector={"disk": "fast"}, tolerations=({"operator": "Exists"},)))
    assert spec["nodeSelector"] == {"disk": "fast"}
    assert spec["tolerations"] == [{"operator": "Exists"}]


def test_what_the_user_must_change_ends_the_job_at_once() -> None:
    spec = built()["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule == {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3, 4]}}
    assert spec["template"]["spec"]["restartPolicy"] == "Never", "podFailurePolicy needs it, and messages survive"
    assert 0 < spec["backoffLimit"] <= 2


def test_the_claim_belongs_to_nobody() -> None:
    claim = jobs.claim(request(storage_class="fast", claim_size="80Gi", access_mode="ReadWriteMany"))
    assert "ownerReferences" not in claim["metadata"]
    assert LABEL_MODEL not in claim["metadata"]["labels"]
    assert claim["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "80Gi"}},
        "storageClassName": "fast",
    }
    assert "storageClassName" not in jobs.claim(request())["spec"], "the cluster's default"


HUB = {"uri": f"hf://org/bot@{SHA[:40]}/bot.gguf"}


def test_a_download_from_a_hub_is_told_where_and_what() -> None:
    (container,) = pod(built(**HUB, hub="https://mirror.test/hf"))["containers"]
    assert container["args"][:9] == [
        "fetch-weights", "--hub", "https://mirror.test/hf", "--repository", "org/bot", "--revision", SHA[:40],
        "--file", "bot.gguf",
    ]  # fmt: skip
    assert "--sha256" not in container["args"], "the hub is to tell it"
    assert container["args"][9] == "--folder"
    assert container["args"][10].startswith("/weights/hf-")
    assert "env" not in container


@pytest.mark.parametrize("wish", [HUB, HTTPS])
def test_credentials_are_mounted_and_never_an_argument(wish: dict[str, Any]) -> None:
    spec = pod(built(**wish, credentials="hub-token"))
    (volume,) = (v for v in spec["volumes"] if v["name"] == "credentials")
    assert volume["secret"] == {"secretName": "hub-token", "optional": True}
    (container,) = spec["containers"]
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == "credentials")
    assert mount == {"name": "credentials", "mountPath": jobs.CREDENTIALS_PATH, "readOnly": True}
    assert container["args"][-2:] == ["--secret", "hub-token"]


def test_a_proxy_is_told_as_every_program_reads_it() -> None:
    (container,) = pod(built(**HUB, proxy="http://proxy.test:3128", no_proxy=".svc,mirror.test"))["containers"]
    assert container["env"] == [
        {"name": "HTTPS_PROXY", "value": "http://proxy.test:3128"},
        {"name": "NO_PROXY", "value": ".svc,mirror.test"},
    ]


def test_a_download_from_a_bucket_is_signed_for_its_region() -> None:
    store = {"store": "https://s3.test", "store_region": "eu-1"}
    (container,) = pod(built("s3://models/m.gguf", sha256=SHA, **store))["containers"]
    assert container["args"][:5] == ["fetch-weights", "--url", "https://s3.test/models/m.gguf", "--s3-region", "eu-1"]
