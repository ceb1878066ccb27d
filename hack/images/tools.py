"""llama.cpp's own tools from the quantizer image's tree, as commands of this machine: for tests without a node."""

from pathlib import Path

from hack.images import bases

TOOLS = ("llama-quantize", "llama-perplexity", "llama-imatrix")


def commands(folder: Path) -> Path:
    """A folder for PATH with the tools in it, each started by the tree's own loader with its own libraries."""
    root = bases.tree(bases.QUANTIZER)
    libraries = root / "usr" / "lib" / "x86_64-linux-gnu"
    places = f"{libraries}:{libraries}/llama:{libraries}/blas:{libraries}/lapack"
    folder.mkdir(parents=True, exist_ok=True)
    for tool in TOOLS:
        script = folder / tool
        loader = root / "lib64" / "ld-linux-x86-64.so.2"
        # Without a chroot they look for what computes in this machine's folders; the plainest runs everywhere. Who
        # measures something large names a faster one in GGML_BACKEND_PATH.
        backend = next((libraries / "ggml").rglob("libggml-cpu-x64.so"))
        command = f'"{loader}" --library-path "{places}" "{root}/usr/bin/{tool}" "$@"'
        script.write_text(f'#!/bin/sh\nexport GGML_BACKEND_PATH="${{GGML_BACKEND_PATH:-{backend}}}"\nexec {command}\n')
        script.chmod(0o755)
    return folder
