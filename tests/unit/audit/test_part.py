"""What a piece of a chain proves by itself."""

import pytest

from smallmodel_operator.audit.part import Part, absent, gaps
from smallmodel_operator.audit.record import ORIGIN, Record, read, seal
from smallmodel_operator.audit.report import Fault, FaultKind
from smallmodel_operator.audit.sign import Signer

SIGNER, OTHER = Signer(b"s" * 32), Signer(b"o" * 32)


def chain(*signers: Signer | None, first: int = 1) -> list[Record]:
    """Records that follow from each other; those with a signer end a commit."""
    found: list[Record] = []
    for seq, signer in enumerate(signers, start=first):
        prev = found[-1].hash if found else ORIGIN
        body = {"kind": "answer", "time": "2026-11-21T12:00:00.000000Z"}
        if signer:
            body = signer.sign({**body, "seq": seq, "prev": prev, "commit": {"log": seq}})
        found.append(read(seal(body, seq, prev)[0]))
    return found


S, N = SIGNER, None


@pytest.mark.parametrize(
    ("signers", "left_out", "proven"),
    [
        ([N, N, S], (), 3),
        ([S, S, S], (), 3),
        ([N, S, N], (), 2),  # what comes after the last signature
        ([N, N, N, S], (1,), 2),  # the gap parts the first from the signature
        ([N, N, N, S], (2,), 1),
        ([N, S, N, S], (1, 3), 0),
        ([N, N], (), 0),
        ([N, OTHER], (), 0),  # a key nobody knows
    ],
)
def test_what_is_joined_to_a_signature_is_proven(
    signers: list[Signer | None], left_out: tuple[int, ...], proven: int
) -> None:
    part = Part(frozenset({SIGNER.public}))
    for at, record in enumerate(chain(*signers)):
        if at not in left_out:
            part.add(record)
    assert (part.records, part.proven) == (len(signers) - len(left_out), proven)


def test_without_keys_every_signature_that_fits_counts() -> None:
    part = Part()
    for record in chain(N, OTHER):
        part.add(record)
    assert part.proven == 2


def test_a_record_that_names_another_one_before_it_is_not_joined() -> None:
    part = Part()
    part.add(chain(N)[0])
    part.add(chain(S, first=2)[0])
    assert part.proven == 1


def test_gaps_are_what_the_chain_itself_says_nothing_of() -> None:
    found = [
        Fault(FaultKind.MISSING, 5, "f", 2, to=9),
        Fault(FaultKind.MISSING, 12, "f", 3),
        Fault(FaultKind.MISSING, 3, "f", 4, to=4, detail="they were gone when the agent began"),
        Fault(FaultKind.EDITED, 13, "f", 5),
    ]
    assert gaps(found) == found[:2]
    assert absent(gaps(found)) == 6
