"""What the real API server refuses and accepts, on the oldest and the newest minor: the same table as tests/api."""

import asyncio

import pytest
from tests.api.cases import BAD, GOOD, Case

from smallmodel_operator.cluster.client import ApiError, Client

pytestmark = pytest.mark.both_minors


async def _create(api: Client, case: Case) -> str:
    """Empty when accepted, else the server's message."""
    try:
        await api.create(case.obj, dryRun="All", fieldValidation="Strict")
    except ApiError as error:
        return error.message
    return ""


async def test_bad_objects_are_refused_with_the_field_and_the_fix(api: Client) -> None:
    said = await asyncio.gather(*(_create(api, case) for case in BAD))
    wrong = {case.name: text for case, text in zip(BAD, said, strict=True) if case.server not in text or not text}
    assert wrong == {}


async def test_good_objects_are_accepted(api: Client) -> None:
    said = await asyncio.gather(*(_create(api, case) for case in GOOD))
    assert {case.name: text for case, text in zip(GOOD, said, strict=True) if text} == {}
