"""An image's name and manifests, and what of its layers is taken."""

import json
from typing import Any

import pytest

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.weights import image
from smallmodel_operator.weights.image import Layer, Name, choose, inside, layers, manifest, name, needed, wanted
from smallmodel_operator.weights.refusal import BadWeights
from smallmodel_operator.weights.result import Failure

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
TAR = "application/vnd.oci.image.layer.v1.tar"
TITLE = "org.opencontainers.image.title"


def layer(media: str, digest: str = A, size: Any = 7, **notes: str) -> dict[str, Any]:
    return {"mediaType": media, "digest": digest, "size": size, "annotations": notes}


def entry(digest: str, platform: str = "", **more: Any) -> dict[str, Any]:
    system, _, architecture = platform.partition("/")
    told = {"platform": {"os": system, "architecture": architecture}} if platform else {}
    return {"digest": digest, **told, **more}


@pytest.mark.parametrize(
    ("text", "parts", "endpoint"),
    [
        (f"r.test:5000/a/b@{A}", ("r.test:5000", "a/b", A), "https://r.test:5000/v2/a/b"),
        ("r.test/b:v1", ("r.test", "b", "v1"), "https://r.test/v2/b"),
        ("localhost/b:v1", ("localhost", "b", "v1"), "https://localhost/v2/b"),
        ("ai/bot:q4", ("docker.io", "ai/bot", "q4"), "https://registry-1.docker.io/v2/ai/bot"),
        (f"bot:v1@{A}", ("docker.io", "library/bot", A), "https://registry-1.docker.io/v2/library/bot"),
    ],
)
def test_a_name_is_read_as_container_runtimes_do(text: str, parts: tuple[str, str, str], endpoint: str) -> None:
    assert (name(text), name(text).endpoint) == (Name(*parts), endpoint)


def test_of_an_index_the_machines_own_manifest_is_chosen_and_always_the_same() -> None:
    attested = entry(C, "unknown/unknown", annotations={image.ATTESTATION: "attestation-manifest"})
    index = {"manifests": [attested, entry(A, "linux/arm64"), entry(B, "linux/amd64"), entry(C, "linux/amd64")]}
    assert (choose(index, "x86_64"), choose(index, "aarch64")) == (B, A)
    assert choose({"manifests": [entry(A, "windows/amd64"), attested]}, "x86_64") == A, "one entry is no choice"
    with pytest.raises(BadWeights, match=r"linux/s390x \(it has: linux/arm64, linux/amd64") as caught:
        choose(index, "s390x")
    assert caught.value.reason is Reason.WEIGHTS_NOT_FOUND
    with pytest.raises(BadWeights, match="it has: nothing"):
        choose({"manifests": [{"digest": "sha256:short"}, 7]}, "x86_64")


def test_archives_and_files_are_taken_and_nothing_else() -> None:
    found = layers(
        {
            "layers": [
                layer(TAR), layer(f"{TAR}+gzip", B), layer(f"{TAR}+zstd"),
                layer("application/vnd.docker.image.rootfs.diff.tar.gzip"),
                layer("application/vnd.cncf.model.weight.v1.raw", **{"org.cncf.model.filepath": "m.safetensors"}),
                layer("application/vnd.oci.image.layer.v1.gguf", C, 9, **{TITLE: "./q4/bot.gguf"}),
                layer("application/vnd.docker.ai.gguf.v3"),
                layer("application/octet-stream", **{TITLE: "pytorch_model.bin"}),
                layer("application/octet-stream", **{TITLE: "run.py"}),
                layer("application/vnd.ollama.image.params"),
            ]
        }
    )  # fmt: skip
    assert found[:4] == (Layer(A, 7), Layer(B, 7), Layer(A, 7), Layer(A, 7))
    assert [one.file for one in found[4:]] == ["m.safetensors", "q4/bot.gguf", "model-6.gguf"]
    assert layers({"layers": [layer("application/vnd.ollama.image.model")]})[0].file == "model.gguf"


@pytest.mark.parametrize(
    "bad",
    [
        {"layers": [layer(TAR, "sha256:abc")]},
        {"layers": [layer(TAR, A, "7")]},
        {"layers": [layer(TAR, A, True)]},
        {"layers": [layer(TAR, A, -1)]},
        {"layers": ["x"]},
        {"layers": [layer(TAR)] * 2000},
        {"layers": [layer("x", **{TITLE: "../m.gguf"})]},
    ],
)
def test_a_damaged_manifest_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(BadWeights, match="The image is damaged"):
        layers(bad)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"layers": 7}', b"[" * 100_000, b"\xff"])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(BadWeights, match="neither a manifest nor an index"):
        manifest(data)
    assert manifest(json.dumps({"layers": []}).encode()) == {"layers": []}


def test_names_stay_inside() -> None:
    assert [inside(path) for path in ("a/b.gguf", "./a//b.gguf", "a/../b.gguf", ".")] == [
        "a/b.gguf", "a/b.gguf", "b.gguf", ".",
    ]  # fmt: skip
    for path in ("/etc/x.json", "..", "../x", "a/../../x", "x\0.gguf", "x\n.gguf", "a" * 2000):
        with pytest.raises(BadWeights):
            inside(path)


def test_weights_and_what_is_read_beside_them_are_wanted() -> None:
    for path in ("a/M.GGUF", "m.safetensors", "config.json", "chat_template.jinja", "tokenizer.model", "model.sig",
                 "merges.txt", "LICENSE"):  # fmt: skip
        assert wanted(path), path
    for path in ("m.bin", "m.pt", "modeling.py", "x.so", ".wh.x", "bash", "m.gguf.part"):
        assert not wanted(path), path


def test_room_is_for_all_of_it_and_the_largest_archive_twice() -> None:
    assert needed([Layer(A, 10), Layer(B, 7), Layer(C, 100, "m.gguf")]) == 127
    assert needed([]) == 0


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, Reason.SOURCE_UNAUTHORIZED), (403, Reason.SOURCE_FORBIDDEN), (404, Reason.SOURCE_NOT_FOUND)],
)
def test_what_a_registry_refuses_is_said_in_words_about_images(status: int, reason: Reason) -> None:
    said = image.refused("r.test", status, Failure(reason, "it gives the file to others"))
    assert said.reason is reason
    assert said.message.startswith(f"r.test answers {status} ")
    assert "file" not in said.message
    assert image.refused("r.test", 503, said) is said
