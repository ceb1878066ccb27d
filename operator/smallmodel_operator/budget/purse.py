"""What one gateway holds: granted to it, used, and reserved for requests that are under way. No clock, no effects.

A request's worst case is reserved before it goes, in all counters or in none; when it has ended, what it used takes the
reservation's place. What a request uses beyond its reservation is owed: it is paid from what is granted next.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from smallmodel_operator.budget.counter import Amounts, Counter, Unit
from smallmodel_operator.budget.price import Price


@dataclass(slots=True)
class Part:
    """Of one counter. `used`: by requests that have ended; `reserved`: for those that have not."""

    granted: int = 0
    used: int = 0
    reserved: int = 0

    @property
    def free(self) -> int:
        """Below 0: owed."""
        return self.granted - self.used - self.reserved


@dataclass(frozen=True, slots=True)
class Reservation:
    """Of one request. `at`: when, in seconds since 1970; `price`: of the target it goes to, where money is counted:
    what it used costs that, whatever the route says by then."""

    at: float
    amounts: Amounts
    price: Price | None = None


def key(request_id: str, target: str) -> str:
    """What a request's reservation goes by: its id, and where it goes, `<namespace>/<route>/<target>` as the access log
    has it. What stayed inside must not settle what left, though the gateway alone makes ids."""
    return f"{target}\n{request_id}"


@dataclass(slots=True)
class Purse:
    """Parts by counter, and reservations by request (`key`). One key may have several."""

    parts: dict[Counter, Part] = field(default_factory=dict)
    reservations: dict[str, deque[Reservation]] = field(default_factory=dict)

    def missing(self, need: Amounts) -> dict[Counter, int]:
        """What has to be granted before this can be reserved; empty: nothing."""
        return {counter: lack for counter, amount in need.items() if (lack := amount - self.free(counter)) > 0}

    def free(self, counter: Counter) -> int:
        part = self.parts.get(counter)
        return part.free if part else 0

    def granted(self, amounts: Amounts) -> None:
        """So much is granted now, all in all."""
        for counter, amount in amounts.items():
            self.parts.setdefault(counter, Part()).granted = amount

    def reserve(self, request: str, reservation: Reservation) -> None:
        """Reserve what is there.

        Raises:
            ValueError: it is not.
        """
        if missing := self.missing(reservation.amounts):
            raise ValueError(f"not granted: {', '.join(map(str, missing))}")
        self.restore(request, reservation)

    def restore(self, request: str, reservation: Reservation) -> None:
        """A reservation that was made before a restart."""
        for counter, amount in reservation.amounts.items():
            self.parts.setdefault(counter, Part()).reserved += amount
        self.reservations.setdefault(request, deque()).append(reservation)

    def settle(self, request: str, used: Mapping[Unit, int | None]) -> bool:
        """A request has ended; False: nothing is reserved for it, so nothing is counted (it is settled, or never went).
        `used`: of each unit; one that is missing was not used; None: nobody knows, and all of it counts.
        """
        waiting = self.reservations.get(request)
        if not waiting:
            return False
        for counter, amount in waiting.popleft().amounts.items():
            part, real = self.parts[counter], used.get(counter.unit, 0)
            part.reserved -= amount
            part.used += amount if real is None else real
        if not waiting:
            del self.reservations[request]
        return True

    def latest(self, request_id: str) -> str:
        """The key of the last reservation made for an id, wherever it goes; empty: there is none."""
        return next((found for found in reversed(self.reservations) if found.endswith(f"\n{request_id}")), "")

    def price(self, request: str, settled: int = 0) -> Price | None:
        """Of the reservation of a request that is settled after so many others of the same id."""
        waiting = self.reservations.get(request, ())
        return waiting[settled].price if settled < len(waiting) else None

    @property
    def oldest(self) -> float | None:
        """When the oldest reservation was made; None: there is none."""
        return min((waiting[0].at for waiting in self.reservations.values()), default=None)

    def older(self, than: float) -> list[str]:
        """Requests with a reservation made before then."""
        return [request for request, waiting in self.reservations.items() if waiting[0].at < than]

    def spare(self, counters: Iterable[Counter]) -> dict[Counter, int]:
        """What would be granted of these if all that is free were given back."""
        found = ((counter, self.parts.get(counter, Part())) for counter in counters)
        return {counter: part.granted - part.free for counter, part in found if part.free > 0}

    def forget(self, counters: Iterable[Counter]) -> None:
        """Counters of windows that are over, with nothing reserved."""
        for counter in counters:
            if counter in self.parts and not self.parts[counter].reserved:
                del self.parts[counter]

    def __iter__(self) -> Iterator[tuple[Counter, Part]]:
        return iter(self.parts.items())
