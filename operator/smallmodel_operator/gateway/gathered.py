"""One kind of object in several namespaces, for a gateway that may not look into all."""

from collections import ChainMap
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from smallmodel_operator.cluster.informer import Informer, Key

T = TypeVar("T")


class Gathered(Generic[T]):
    """Informers of one kind, one for each namespace or a single one for all, read as if they were one."""

    def __init__(self, informers: Iterable[Informer[T]]) -> None:
        self.informers = tuple(informers)
        self.objects: Mapping[Key, T] = ChainMap(*(i.objects for i in self.informers))

    @property
    def synced(self) -> bool:
        """All of them have taken in a list."""
        return all(i.synced for i in self.informers)

    @property
    def problem(self) -> str:
        """The first that is told; empty while all is well."""
        return next((i.problem for i in self.informers if i.problem), "")
