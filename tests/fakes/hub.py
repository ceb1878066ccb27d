"""A fake model hub: the part of the public one's HTTP API that a download uses, with its headers, errors and redirects.

What stands here was written from the API's documentation and its Python client; it is no hub. One repository,
`org/bot`, one commit, files by path; `gated` and `private` behave as the hub does to strangers.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from tests.fakes.source_site import Asked, Site

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_abc"
PAGE = 2
"""Entries of a listing in one answer."""


class Hub(Site):
    """GET /api/models/org/bot/revision/BRANCH, …/tree/COMMIT and /org/bot/resolve/COMMIT/FILE.

    Files come from another host, /cdn/…
    """

    files: ClassVar[dict[str, dict[str, Any]]] = {}
    """path -> size, and oid (SHA-256) of those kept as large files."""
    revisions: ClassVar[dict[str, Any]] = {"main": {"id": "org/bot", "sha": COMMIT}}
    """What is told of branches and tags."""
    private: ClassVar[bool] = False
    gated: ClassVar[bool] = False

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/cdn/"):
            return super().do_GET()
        told = self.headers.get("If-Range", ""), self.headers.get("Host", ""), self.headers.get("Authorization", "")
        self.held.asked.append(Asked(self.path, self.headers.get("Range", ""), *told))
        if self.held.answers:
            return self._status(*self.held.answers.pop(0))
        known = told[2] == f"Bearer {TOKEN}"
        if (self.private and not known) or not self._names(path):
            return self._refuse(401, "RepoNotFound")
        if self.gated:
            return self._refuse(403, "GatedRepo")
        if (revision := path.partition("/api/models/org/bot/revision/")[2]) in self.revisions:
            return self._json(self.revisions[revision], {})
        if f"/{COMMIT}" not in path:
            return self._refuse(404, "RevisionNotFound")
        return self._tree() if path.startswith("/api/") else self._resolve(path.partition(f"/{COMMIT}/")[2])

    def _names(self, path: str) -> bool:
        return path.startswith(("/api/models/org/bot/tree/", "/api/models/org/bot/revision/", "/org/bot/resolve/"))

    def _refuse(self, status: int, code: str) -> None:
        self._status(status, {"X-Error-Code": code, "X-Error-Message": "Said at length."})

    def _tree(self) -> None:
        entries: list[dict[str, Any]] = [{"type": "directory", "oid": "d" * 40, "size": 0, "path": "folder.gguf"}]
        for path, info in self.files.items():
            entry = {"type": "file", "oid": "f" * 40, "size": info["size"], "path": path}
            entries.append({**entry, **({"lfs": {"pointerSize": 134, **info}} if "oid" in info else {})})
        begin = int(urlsplit(self.path).query.partition("cursor=")[2] or 0)
        address = f"https://{self.headers['Host']}/api/models/org/bot/tree/{COMMIT}"
        link = {"Link": f'<{address}?recursive=true&cursor={begin + PAGE}>; rel="next"'}
        self._json(entries[begin : begin + PAGE], link if begin + PAGE < len(entries) else {})

    def _json(self, said: Any, headers: dict[str, str]) -> None:
        body = json.dumps(said).encode()
        self.send_response(200)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _resolve(self, path: str) -> None:
        if path not in self.files:
            return self._refuse(404, "EntryNotFound")
        info, port = self.files[path], self.headers["Host"].rpartition(":")[2]
        linked = {"X-Linked-Etag": f'"{info["oid"]}"', "X-Linked-Size": str(info["size"])} if "oid" in info else {}
        there = f"https://localhost:{port}/cdn/file.gguf?Signature=abc&Expires=1"
        return self._status(302, {"Location": there, "X-Repo-Commit": COMMIT, **linked})

    def _file(self, how: str, wanted: str) -> None:
        super()._file(how.removeprefix("cdn/"), wanted)


LARGE_SUFFIXES = (".safetensors", ".bin", ".gguf", "tokenizer.model")
"""Kept as large files, as the hub's `.gitattributes` says; the rest lies in Git."""


class FolderHub(Hub):
    """The same with the files of a real folder, each sent with its own content."""

    root: ClassVar[Path]
    listed: ClassVar[dict[str, dict[str, Any]]] = {}
    """path -> what the list says otherwise than it should; with the type `gone` nothing."""

    @classmethod
    def entry(cls, file: Path) -> dict[str, Any]:
        """As the hub lists it: of a large file `oid` is of the pointer that Git keeps."""
        data = file.read_bytes()
        made = {"type": "file", "oid": blob(data), "size": len(data), "path": str(file.relative_to(cls.root))}
        if not file.name.endswith(LARGE_SUFFIXES):
            return made
        sha256 = hashlib.sha256(data).hexdigest()
        return {**made, "oid": blob(sha256.encode()), "lfs": {"oid": sha256, "size": len(data), "pointerSize": 134}}

    @classmethod
    def entries(cls) -> list[dict[str, Any]]:
        made = [cls.entry(file) for file in sorted(cls.root.rglob("*")) if file.is_file()]
        there = [{**e, **cls.listed.get(e["path"], {})} for e in made]
        return [e for e in there if e["type"] != "gone"]

    def _tree(self) -> None:
        entries = self.entries()
        begin = int(urlsplit(self.path).query.partition("cursor=")[2] or 0)
        address = f"https://{self.headers['Host']}/api/models/org/bot/tree/{COMMIT}"
        link = {"Link": f'<{address}?recursive=true&cursor={begin + PAGE}>; rel="next"'}
        self._json(entries[begin : begin + PAGE], link if begin + PAGE < len(entries) else {})

    def _resolve(self, path: str) -> None:
        """Large files come from another host, small ones from a cache of the same, by a relative address."""
        file = self.root / path
        if not file.is_file():
            return self._refuse(404, "EntryNotFound")
        port = self.headers["Host"].rpartition(":")[2]
        if "lfs" in self.entry(file):
            return self._status(302, {"Location": f"https://localhost:{port}/cdn/{path}?Signature=abc"})
        return self._status(307, {"Location": f"/cdn/{path}"})

    def _file(self, how: str, wanted: str) -> None:
        file = self.root / unquote(urlsplit(self.path).path).removeprefix("/cdn/")
        self.held.file, self.held.tag = file, f'"{blob(file.read_bytes())}"'
        Site._file(self, "", wanted)


def blob(data: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
