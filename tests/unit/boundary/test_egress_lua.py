"""What a text of Lua could reach beyond its request."""

import pytest

from smallmodel_operator.boundary.egress.lua import reaches
from smallmodel_operator.gateway.xds import scripts

OURS = [
    *map(scripts.default, (scripts.DOOR, scripts.TARGET)),
    *map(scripts.program, (scripts.DOOR, scripts.TARGET, scripts.TARGET_HMAC, scripts.HMAC)),
]


@pytest.mark.parametrize("text", OURS, ids=["door-default", "target-default", "door", "target", "target-hmac", "hmac"])
def test_ours_reach_nothing(text: str) -> None:
    assert reaches(text) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('handle:httpCall("x", {}, "", 1)', ("httpCall",)),
        ("handle : httpCall {}", ("httpCall",)),
        ("handle.httpCall(handle)", ("httpCall",)),
        ('handle["httpCall"](handle)', ("httpCall",)),
        ('io.popen("curl")', ("io",)),
        ('require("ffi")', ("ffi", "require")),
        ("require('socket')", ("require",)),
        ("_G['o' .. 's']", ("_G",)),
        ("local f = loadstring(text)", ("loadstring",)),
        ("handle:sendSomewhere(1)", ("sendSomewhere",)),
        ('x = "-- [[" handle:httpCall(1)', ("httpCall",)),
    ],
)
def test_what_reaches_out(text: str, said: tuple[str, ...]) -> None:
    assert reaches(text) == said


@pytest.mark.parametrize(
    "text", ["-- handle:httpCall() and io.popen", 'local bit = require("bit")', 'x = {[":path"] = 1}', "audio = radio"]
)
def test_what_does_not(text: str) -> None:
    assert reaches(text) == ()
