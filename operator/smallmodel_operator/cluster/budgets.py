"""Registers of budgets in ConfigMaps, each changed on the state it was made of (cluster/shared.py)."""

from typing import Any, Final

from smallmodel_operator.budget import text
from smallmodel_operator.budget.register import Register
from smallmodel_operator.cluster import shared
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.shared import Form, Shared

ENTRY: Final = "register.json"


class Registers(Shared[Register]):
    """Reads and changes them, by the names of their ConfigMaps."""

    def __init__(self, client: Client, namespace: str, **given: Any) -> None:
        """`given`: see `Shared`."""
        super().__init__(client, namespace, Form("ConfigMap", _load, _dump), **given)


def _load(data: dict[str, str]) -> Register:
    try:
        return text.read(data.get(ENTRY, ""))
    except ValueError as error:
        raise ValueError(f"entry {ENTRY}: {error}") from None


def _dump(register: Register) -> dict[str, str]:
    try:
        return {ENTRY: text.write(register)}
    except text.TooLarge as error:
        raise shared.TooLarge(str(error)) from None
