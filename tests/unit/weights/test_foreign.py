"""What can run code when it is loaded is refused by that reason, whatever it is called."""

import io
import pickle
import struct
import zipfile
from typing import Any

import numpy as np
import pytest

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.weights import foreign
from smallmodel_operator.weights.gguf import PEEK, BadWeights, read_header


class Exploit:
    """What a hostile checkpoint holds."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("pwned",)


def refused(data: bytes, name: str = "model.gguf") -> BadWeights:
    with pytest.raises(BadWeights) as caught:
        read_header(io.BytesIO(data), len(data), name)
    return caught.value


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 64)
    return out.getvalue()


def numpy_file() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([Exploit()], dtype=object), allow_pickle=True)
    return out.getvalue()


TENSORS = {"model.layers.0.weight": [0.5] * 64, "step": 7}
LEGACY_TORCH = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(1001, protocol=2) + bytes(64)
PICKLES = [
    *(pytest.param(pickle.dumps(TENSORS, protocol=p), id=f"state-dict-{p}") for p in range(6)),
    *(pytest.param(pickle.dumps(Exploit(), protocol=p), id=f"code-{p}") for p in range(6)),
    pytest.param(LEGACY_TORCH, id="torch-before-1.6"),
    pytest.param(zipped("archive/data.pkl", "archive/version"), id="torch-zip"),
    pytest.param(zipped("model/code/__torch__.py", "model/constants.pkl"), id="torchscript"),
    pytest.param(zipped("arr_0.npy"), id="npz"),
    pytest.param(numpy_file(), id="numpy-with-objects"),
    pytest.param(b"\x89HDF\r\n\x1a\n" + bytes(64), id="keras"),
    pytest.param(b"ZF0000000000000064" + bytes(64), id="joblib"),
]


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.gguf", "model"])
@pytest.mark.parametrize("data", PICKLES)
def test_pickles_are_known_by_their_bytes(data: bytes, name: str) -> None:
    bad = refused(data, name)
    assert bad.reason is Reason.UNSAFE_FORMAT
    assert "run any code" in bad.message
    assert "GGUF or safetensors" in bad.message, "the way out"
    assert f"{len(data)} bytes" in bad.message


@pytest.mark.parametrize("suffix", foreign.UNSAFE_SUFFIXES)
def test_where_the_bytes_say_nothing_the_name_does(suffix: str) -> None:
    nothing = b"\x01\x02\x03\x04" * 32
    assert refused(nothing, f"Model{suffix.upper()}").reason is Reason.UNSAFE_FORMAT
    assert refused(nothing, f"model{suffix}.gguf").reason is Reason.WEIGHTS_INVALID


def test_safetensors_are_no_pickle_and_say_what_to_do() -> None:
    header = b'{"__metadata__":{"format":"pt"}}'
    for name in ("model.safetensors", "pytorch_model.bin"):
        bad = refused(struct.pack("<Q", len(header)) + header + bytes(40), name)
        assert bad.reason is Reason.WEIGHTS_INVALID
        assert "LlamaCpp does not serve it" in bad.message
        assert "convert_hf_to_gguf" in bad.message


@pytest.mark.parametrize(
    "data",
    [
        b"(c) 2026 by the authors\nAll rights reserved\n",
        b"copyright\nnotice of the model\n",
        b"# Model card\nThis model answers.\n",
        zipped("README.md"),
        b"GIF89a" + bytes(64),
    ],
)
def test_other_files_are_not_called_pickles(data: bytes) -> None:
    assert refused(data).reason is Reason.WEIGHTS_INVALID


def test_no_first_bytes_are_too_few_or_too_strange() -> None:
    for data in (b"P", b"PK\x03\x04", b"\x80", b"\x80\x09", b"c", b"(", b"\x93NUMP", bytes(PEEK)):
        assert refused(data)
