"""Files that are not what a command wants: an exit code and a line for each, never a traceback."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smallmodel_operator.cli.app import app

OURS = '{"apiVersion": "smallmodel.dev/v1alpha1", "kind": '
ODD = {
    "empty": b"",
    "binary": bytes(range(256)),
    "zeros": bytes(100),
    "only-a-mark": b"\xef\xbb\xbf",
    "mark": b'\xef\xbb\xbf{"a": 1}',
    "crlf": b"a: 1\r\nb: 2\r\n",
    "utf16": "a: 1".encode("utf-16"),
    "deep": b"[" * 1200,
    "one-line": b"x" * 20_000,
    "number": b"1" * 5000,
    "null": b"null",
    "nan": b"NaN",
    "unhashable": b"{[1]: 2}",
    "itself": b"&a [*a]",
    "no-such-day": b"2026-13-45",
    "kind": b'{"kind": ["a"]}',
    "items": b'{"kind": "List", "items": 7}',
    "map-of-items": b'{"kind": "List", "items": {"a": 1}}',
    "configmap": b'{"kind": "ConfigMap", "data": [1]}',
    "entry": b'{"kind": "ConfigMap", "data": {"prices.yaml": 3}}',
    "model": f'{OURS}"SmallModel", "spec": [], "metadata": {{"name": 3}}}}'.encode(),
    "status": f'{OURS}"SmallModel", "spec": {{"compute": 1}}, "status": {{"capacity": [1]}}}}'.encode(),
    "profile": f'{OURS}"ComputeProfile", "spec": 7}}'.encode(),
    "price": f'{OURS}"ComputeProfile", "spec": {{"price": 7, "power": 7}}}}'.encode(),
    "route": f'{OURS}"ModelRoute", "spec": {{"boundary": {{"patterns": [3], "detectors": 7}}}}}}'.encode(),
    "prompt": b'{"prompt": 3}\n{"prompt":',
    "half-a-pair": b'{"prompt": "\\ud800"}',
}
COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "lint": lambda file: ["lint", file],
    "render": lambda file: ["render", file],
    "breakeven": lambda file: ["cost", "breakeven", file, "--prices", file],
    "check": lambda file: ["route", "check", file],
    "policy": lambda file: ["route", "check", file, "--policy", file],
    "redact": lambda file: ["route", "redact", file],
    "classify": lambda file: ["route", "classify", "--classifier", file, file],
    "confidence": lambda file: ["route", "confidence", "--dataset", file, "--weak", "a"],
    "evaluate": lambda file: ["route", "evaluate", "--dataset", file, "--weak", "a", "--strong", "b"],
    "train": lambda file: ["route", "train", "--dataset", file, "--output", f"{file}.out"],
    "verify": lambda file: ["audit", "verify", file],
    "part": lambda file: ["audit", "verify", "--part", file],
    "noted": lambda file: ["audit", "verify", file, "--noted", file],
    "show": lambda file: ["audit", "show", "abc", file],
    "export": lambda file: ["audit", "export", file],
    "simulate": lambda file: [
        *("simulate", "--policy", "objective", "--ttft-p95-ms", "500"),
        *("--trace", file, "--profile", file),
    ],
}
SEVERAL = {"check", "lint", "render", "verify", "part", "noted", "export"}
"""Say a line for each thing that is wrong."""


def names(folder: Path) -> list[str]:
    for name, data in ODD.items():
        (folder / name).write_bytes(data)
    (folder / "folder").mkdir()
    return [str(folder / name) for name in (*ODD, "folder", "gone", "empty/in-a-file", "x" * 300)]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_odd_file_ends_with_a_line_and_no_traceback(command: str, tmp_path: Path) -> None:
    for file in names(tmp_path):
        done = CliRunner().invoke(app, COMMANDS[command](file))
        assert done.exception is None or isinstance(done.exception, SystemExit), (file, done.exc_info)
        assert done.exit_code in (0, 1, 2), file
        assert "b'" not in done.output.replace("'b'", ""), (file, done.output)
        if done.exit_code == 2:
            assert done.output.strip(), file
            assert command in SEVERAL or len(done.output.strip().splitlines()) == 1, (file, done.output)


@pytest.mark.parametrize(
    ("command", "file", "says"),
    [
        ("lint", "items", "items#1: `items` is not a list"),
        ("breakeven", "profile", "profile#1: spec of ComputeProfile must be an object."),
        ("breakeven", "price", "price#1: spec.price of ComputeProfile must be an object."),
        ("breakeven", "status", "status#1: spec.compute of SmallModel must be an object."),
        ("part", "zeros", "A part without a record says nothing: give what `slm audit export` wrote."),
        ("evaluate", "x" * 300, "cannot be read: File name too long"),
    ],
)
def test_it_says_what_is_the_matter(command: str, file: str, says: str, tmp_path: Path) -> None:
    names(tmp_path)
    done = CliRunner().invoke(app, COMMANDS[command](str(tmp_path / file)))
    assert done.exit_code != 0
    assert says in " ".join(done.output.replace("\n", " ").split()), done.output
