"""Does a live object differ from what we want? Only fields we set count; the API server's defaults do not."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from smallmodel_operator.core.units import quantity

_QUANTITIES: Final = {"requests", "limits"}
_KEYS: Final = ("name", "mountPath", "containerPort", "key", "topologyKey", "type")
"""Fields by which lists of maps are merged under server-side apply; the first that tells the items apart counts."""
_WHOLE: Final = {"selector", "podSelector", "namespaceSelector", "labelSelector", "matchLabels", "nodeSelector"}
"""Maps the API server replaces as one value: a key more selects something else, so it is a difference too."""
_IDENTITY: Final = {"resourceVersion"}


def differences(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """Paths of fields we set that are missing or different in the live object; empty when it is as planned."""
    return list(_compare(wanted, live, ""))


def _compare(wanted: Any, live: Any, path: str) -> Iterator[str]:
    if wanted == live:  # most of every object, and far quicker than looking closer
        return
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping):
            # An empty map is dropped by the API server; its absence is no difference.
            if wanted:
                yield path or "."
            return
        for key, value in wanted.items():
            if key in _IDENTITY:
                continue
            yield from _field(key, value, live, f"{path}.{key}")
    elif isinstance(wanted, list | tuple):
        yield from _sequence(wanted, live, path)
    elif not _equal(wanted, live):
        yield path


def _field(key: str, value: Any, live: Mapping[str, Any], path: str) -> Iterator[str]:
    if key in _QUANTITIES and isinstance(value, Mapping):
        for name, amount in value.items():
            if not _same_quantity(amount, (live.get(key) or {}).get(name)):
                yield f"{path}.{name}"
    elif key == "sizeLimit":
        if not _same_quantity(value, live.get(key)):
            yield path
    else:
        yield from _compare(value, live.get(key), path)
        if key in _WHOLE and isinstance(value, Mapping) and set(live.get(key) or {}) - set(value):
            yield path


def _sequence(wanted: Any, live: Any, path: str) -> Iterator[str]:
    live = live or []
    if not isinstance(live, list | tuple):
        yield path
        return
    key = _merge_key(wanted)
    if key is None:
        if len(wanted) != len(live):
            yield path
            return
        for index, (a, b) in enumerate(zip(wanted, live, strict=True)):
            yield from _compare(a, b, f"{path}[{index}]")
        return
    by_key = {item.get(key): item for item in live if isinstance(item, Mapping)}
    for item in wanted:
        yield from _compare(item, by_key.get(item[key]), f"{path}[{item[key]}]")
    if set(by_key) - {item[key] for item in wanted}:
        yield path


def _merge_key(items: Any) -> str | None:
    """The field by which both sides are matched: all have it and no two share its value (tolerations may)."""
    if not items or not all(isinstance(i, Mapping) for i in items):
        return None
    return next((k for k in _KEYS if all(k in i for i in items) and len({i[k] for i in items}) == len(items)), None)


def _equal(wanted: Any, live: Any) -> bool:
    # The API server drops empty strings and zero values of optional fields.
    return bool(wanted == live or (live is None and wanted in ("", False, 0, None)))


def _same_quantity(wanted: Any, live: Any) -> bool:
    if live is None:
        return False
    try:
        return quantity(wanted) == quantity(live)
    except ValueError:
        return bool(wanted == live)
