"""1 GB over a line of 200 ms that drops every 5 s and stalls once, with a redirect: all real time, all real sizes."""

import hashlib
from pathlib import Path

import pytest
from tests.fakes.bad_line import Line, stretched
from tests.fakes.gguf_file import TENSORS, build
from tests.fakes.source_site import keys_in, serve

from smallmodel_operator.cli import fetch_weights
from smallmodel_operator.weights import result

GIGABYTE = 10**9
BLOCK = 2**20
ONE_WAY = 0.1
BYTES_A_SECOND = 25_000_000


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_gigabyte_arrives_with_at_most_a_twentieth_fetched_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, file = keys_in(tmp_path / "keys"), tmp_path / "served.gguf"
    sha256 = _write(file)
    size = file.stat().st_size
    monkeypatch.setenv("SSL_CERT_FILE", str(keys / "ca.crt"))
    monkeypatch.setenv("no_proxy", "*")
    with serve(keys, file) as (near, held):
        line = Line(near, ONE_WAY, BYTES_A_SECOND, drop_seconds=5, stall_at=size // 2)
        with stretched(line) as port:
            url = f"https://127.0.0.1:{port}/to-other"
            wish = fetch_weights.Download(url, sha256, str(tmp_path / "claim"), "sha256:a")
            assert fetch_weights.fetch(wish, tmp_path / "message") == result.EXIT_FOUND
    assert held.file.stat().st_size == wish.target.stat().st_size
    assert (line.stalls, line.drops >= 5) == (1, True)
    print(
        f"{size} bytes; the line delivered {line.delivered / size:.4f} of them (TLS included), {line.drops} drops, "
        f"{len(held.asked)} requests; the server sent {held.sent / size:.4f}: what was under way at a drop is lost"
    )
    assert line.delivered <= 1.05 * size


def _write(file: Path) -> str:
    """A whole GGUF of 1 GB in which no two blocks are alike."""
    head = build(tensors=[*TENSORS[:-1], ("output_norm.weight", (1,), "F32")])
    numbers = -(-(GIGABYTE - len(head)) // 4)
    head = build(tensors=[*TENSORS[:-1], ("output_norm.weight", (numbers,), "F32")], empty=True)
    state, left, seed = hashlib.sha256(head), 4 * numbers, hashlib.shake_256(b"weights").digest(BLOCK - 8)
    with file.open("wb") as out:
        out.write(head)
        for number in range(left // BLOCK + 1):
            block = (number.to_bytes(8) + seed)[: min(BLOCK, left - number * BLOCK)]
            state.update(block)
            out.write(block)
    return state.hexdigest()
