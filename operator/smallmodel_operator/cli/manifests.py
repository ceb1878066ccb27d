"""Read manifests: files of one or more YAML or JSON documents, folders of them, or standard input."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

NOT_YAML: Final = (yaml.YAMLError, ValueError, RecursionError)
"""What the YAML library raises: also for bytes that are no text, days that are none, numbers of 5,000 digits."""
_MAX_BYTES = 8 * 2**20
_SUFFIXES = frozenset({".yaml", ".yml", ".json"})


class _OneOfEach(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping: YAML takes the last, and what the first one forbade is gone."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"`{key.value}` stands twice in one mapping: leave one of them out", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def one_document(text: str | bytes) -> Any:
    """The value of a YAML or JSON document in which no key stands twice.

    Raises:
        NOT_YAML: it is none.
    """
    return yaml.load(text, _OneOfEach)  # noqa: S506 - a SafeLoader


def inner(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The map in a field of an object that nobody has checked; an empty one where there is none."""
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}


class Unreadable(Exception):  # noqa: N818
    """A file cannot be read as manifests; the message says which and why."""


def read(files: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, object) of every document; lists are taken apart, folders searched to the bottom.

    Raises:
        Unreadable: no such file, a folder without manifests, not YAML, or not a Kubernetes object.
    """
    named = set(files)
    for name in (found for file in files for found in _expand(file)):
        for number, document in enumerate(_documents(name), start=1):
            where = f"{name}#{number}"
            if document is None:
                continue
            if not isinstance(document, dict) or "kind" not in document:
                if name not in named:
                    continue  # a folder also holds values files and the like; only a file named is meant as a manifest
                raise Unreadable(f"{where}: not a Kubernetes object (a map with apiVersion and kind)")
            items = document.get("items") if str(document["kind"]).endswith("List") else [document]
            if not isinstance(items, list | None):
                raise Unreadable(f"{where}: `items` is not a list")
            for item in items or []:
                if not isinstance(item, dict):
                    raise Unreadable(f"{where}: an item is not an object")
                if not isinstance(item.get("metadata", {}), dict):
                    raise Unreadable(f"{where}: `metadata` is not an object")
                yield where, item


def _expand(name: str) -> list[str]:
    """A folder's files that may be manifests, in a stable order; anything else is itself."""
    if name == "-" or not os.path.isdir(name):  # Path.is_dir raises for too long a name
        return [name]
    found = sorted(str(p) for p in Path(name).rglob("*") if p.suffix in _SUFFIXES and p.is_file())
    if not found:
        raise Unreadable(f"{name}: a folder without a file that ends in {', '.join(sorted(_SUFFIXES))}")
    return found


def _documents(name: str) -> list[Any]:
    try:
        text = sys.stdin.read(_MAX_BYTES) if name == "-" else Path(name).read_text()
        return list(yaml.load_all(text, _OneOfEach))
    except OSError as error:
        raise Unreadable(f"{name}: {error.strerror}") from error
    except NOT_YAML as error:
        raise Unreadable(f"{name}: not YAML: {' '.join(str(error).split())}") from error
