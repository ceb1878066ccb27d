import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.weights.parse import parse
from smallmodel_operator.weights.source import (
    MAX_ARTIFACT,
    BucketSource,
    ClaimSource,
    HttpsSource,
    HubSource,
    OciSource,
    address,
    claims,
    model_path,
    volume,
)

SHA = "a" * 64
OCI = f"oci://registry.test:5000/team/model@sha256:{SHA}"


def refusal(uri: str, path: str = "", sha256: str = "") -> str:
    with pytest.raises(Refused) as caught:
        parse(uri, path, sha256)
    assert caught.value.reason is Reason.INVALID_SPEC
    assert caught.value.condition is Condition.WEIGHTS_READY
    return caught.value.message


def test_an_image_is_mounted_read_only_by_its_digest() -> None:
    where = parse(OCI, "model.gguf", "")
    assert isinstance(where, OciSource)
    found, mount, path = volume(where)
    assert found["image"] == {"reference": f"registry.test:5000/team/model@sha256:{SHA}", "pullPolicy": "IfNotPresent"}
    assert mount == {"name": "weights", "mountPath": "/weights", "readOnly": True}
    assert path == "/weights/model.gguf"
    assert where.artifact == f"sha256:{SHA}/model.gguf"
    assert claims(where) == ()
    assert where.mutable == ""


def test_a_tag_beside_the_digest_is_left_out() -> None:
    where = parse(f"oci://registry.test/m:v1@sha256:{SHA}", "", "")
    assert isinstance(where, OciSource)
    assert where.reference == f"registry.test/m@sha256:{SHA}"


@pytest.mark.parametrize(
    "uri",
    ["oci://registry.test/m:v1", "oci://registry.test/m", f"oci://@sha256:{SHA}", "oci://r/m@sha256:abc", "oci://"],
)
def test_an_image_without_a_digest_is_refused(uri: str) -> None:
    assert "must name a digest" in refusal(uri)


def test_a_claim_is_mounted_read_only_as_a_whole() -> None:
    where = parse("pvc://models/bots", "support.gguf", SHA)
    assert isinstance(where, ClaimSource)
    found, mount, path = volume(where)
    assert found["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
    assert mount["readOnly"] is True
    assert path == "/weights/bots/support.gguf"
    assert where.artifact == f"pvc:models/bots/support.gguf#{SHA}"
    assert claims(where) == ("models",)


def test_what_may_change_is_said() -> None:
    assert "sha256" in parse("pvc://models/m.gguf", "", "").mutable
    assert "when it was inspected" in parse("pvc://models/m.gguf", "", SHA).mutable, "not at every start"


def test_a_download_lies_in_a_folder_named_by_its_digest() -> None:
    where = parse("https://weights.test/m.gguf?x=1", "", SHA)
    assert isinstance(where, HttpsSource)
    found, mount, path = volume(where)
    assert found["persistentVolumeClaim"] == {"claimName": "smallmodel-weights", "readOnly": True}
    assert mount["subPath"] == f"sha256-{SHA}"
    assert path == "/weights/model.gguf"
    assert where.artifact == f"sha256:{SHA}"
    assert claims(where) == ("smallmodel-weights",)


@pytest.mark.parametrize(
    ("uri", "path", "sha256", "said"),
    [
        ("https://h/m.gguf", "", "", "`spec.source.sha256` is required"),
        ("https://h/m.gguf", "m.gguf", SHA, "`spec.source.path` must be empty"),
        ("https://user:pw@h/m.gguf", "", SHA, "must not hold a user name"),
        ("https:///m.gguf", "", SHA, "not an https:// address"),
        ("https://h:x/m.gguf", "", SHA, "not an https:// address"),
        ("https://h/m .gguf", "", SHA, "not an https:// address"),
        ("http://h/m.gguf", "", SHA, "must begin with"),
        ("s3://models/m.gguf", "", "", "required with s3://"),
        ("s3://models/m.gguf", "x", SHA, "must be empty with s3://"),
        ("s3://models", "", SHA, "must be s3://BUCKET/KEY"),
        ("s3://Models/m.gguf", "", SHA, "must be s3://BUCKET/KEY"),
        ("s3://models/a/../m.gguf", "", SHA, "without `.` and `..`"),
        ("gs://b/m.gguf", "", "", "must begin with"),
        ("hf://org/bot", "", "", "git ls-remote https://huggingface.co/org/bot main"),
        ("hf://org/bot@v1.0/m.gguf", "", "", "git ls-remote https://huggingface.co/org/bot v1.0"),
        ("hf://bot@" + "c" * 40, "", "", "must name a commit"),
        ("hf://org/bot@" + "c" * 41, "", "", "must name a commit"),
        ("hf://org/bot@" + "C" * 40, "", "", "must name a commit"),
        ("hf://org/bot@" + "c" * 40 + "/../x", "", "", "stay inside"),
        ("hf://org/bot@" + "c" * 40 + "/a.gguf", "b.gguf", "", "must be empty where"),
        ("model.gguf", "", "", "must begin with"),
        ("pvc:///m.gguf", "", "", "name of a claim"),
        ("pvc://UPPER/m.gguf", "", "", "name of a claim"),
        ("pvc://c/../../etc", "", "", "stay inside"),
        (OCI, "../x.gguf", "", "stay inside"),
        (OCI, "a/../../x.gguf", "", "stay inside"),
        (OCI, "", "A" * 64, "64 lower-case hex"),
        (OCI, "", "abc", "64 lower-case hex"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_field(uri: str, path: str, sha256: str, said: str) -> None:
    assert said in refusal(uri, path, sha256)


def test_the_path_is_unknown_until_the_folder_was_looked_into() -> None:
    where = parse("pvc://models/bots", "", "")
    assert volume(where)[2] == ""
    assert model_path(where, "bots/found.gguf") == "/weights/bots/found.gguf"


@given(
    st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True),
    st.text("abc/é", max_size=512),
    st.booleans(),
)
def test_names_of_artifacts_are_bounded_and_tell_paths_apart(claim: str, path: str, pinned: bool) -> None:
    sha256 = SHA if pinned else ""
    one, other = parse(f"pvc://{claim}/{path}/x", "", sha256), parse(f"pvc://{claim}/{path}/y", "", sha256)
    assert len(one.artifact) <= MAX_ARTIFACT
    assert one.artifact != other.artifact


@given(st.text(max_size=100), st.text(max_size=40), st.text(max_size=70))
def test_any_text_ends_in_a_source_or_a_refusal(uri: str, path: str, sha256: str) -> None:
    for scheme in ("", "oci://", "pvc://", "https://"):
        try:
            found = parse(scheme + uri, path, sha256)
        except Refused:
            continue
        assert ".." not in found.path.split("/")


COMMIT = "c" * 40


@pytest.mark.parametrize(
    ("uri", "path", "file"),
    [
        (f"hf://org/bot@{COMMIT}", "", ""),
        (f"hf://org/bot@{COMMIT}/q/a b.gguf", "", "q/a b.gguf"),
        (f"hf://org/bot@{COMMIT}", "q/b.gguf", "q/b.gguf"),
    ],
)
def test_a_file_of_a_hub(uri: str, path: str, file: str) -> None:
    where = parse(uri, path, "")
    assert isinstance(where, HubSource)
    assert (where.repository, where.revision, where.file, where.digest) == ("org/bot", COMMIT, file, "")
    assert where.artifact == f"hf:org/bot@{COMMIT}" + (f"/{file}" if file else "")
    found, mount, in_pod = volume(where)
    assert found["persistentVolumeClaim"] == {"claimName": "smallmodel-weights", "readOnly": True}
    assert mount["subPath"] == where.folder
    assert in_pod == "/weights/model.gguf"
    assert claims(where) == ("smallmodel-weights",)


def test_a_file_with_its_sum_is_the_same_wherever_it_comes_from() -> None:
    hub, web = parse(f"hf://org/bot@{COMMIT}/a.gguf", "", SHA), parse("https://h/m.gguf", "", SHA)
    assert isinstance(hub, HubSource)
    assert isinstance(web, HttpsSource)
    assert (hub.artifact, hub.folder) == (web.artifact, web.folder)


def test_files_of_a_hub_have_folders_of_their_own() -> None:
    uris = (
        f"hf://org/bot@{COMMIT}/a",
        f"hf://org/bot@{COMMIT}/b",
        f"hf://org/bot@{'d' * 40}/a",
        f"hf://o/bot@{COMMIT}/a",
    )
    wheres = [parse(uri, "", "") for uri in uris]
    assert len({where.folder for where in wheres if isinstance(where, HubSource)}) == len(uris)
    assert len({where.artifact for where in wheres}) == len(uris)
    long = parse(f"hf://{'o' * 90}/{'r' * 90}@{COMMIT}/{'f' * 200}.gguf", "", "")
    assert len(long.artifact) <= 128


def test_a_file_of_a_bucket_needs_a_store() -> None:
    where = parse("s3://models/q4/a b.gguf", "", SHA)
    assert isinstance(where, BucketSource)
    assert (where.artifact, where.folder) == (f"sha256:{SHA}", f"sha256-{SHA}")
    assert address(where, "", "https://s3.test:9000") == "https://s3.test:9000/models/q4/a%20b.gguf"
    with pytest.raises(Refused, match="S3 store"):
        address(where, "", "")
