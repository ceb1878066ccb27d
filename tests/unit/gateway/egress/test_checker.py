"""Who checks: what it answers, whatever it is asked."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.boundary.passes import Gate, Pass, Signer, sha256
from smallmodel_operator.gateway.egress.checker import Asked, Checker
from smallmodel_operator.gateway.egress.site import MOST_BODY
from smallmodel_operator.gateway.egress.words import POLICY, STREAM, WAY

SIGNER = Signer(b"s" * 32)
NOW = 1_700_000_000_000
CLOUD = "support/assistant/cloud"
SAID = "sha256:" + "ab" * 32


def asked(body: bytes = b"{}", **more: str) -> Asked:
    text = SIGNER.sign(Pass("r", CLOUD, SAID, sha256(body), NOW))
    return replace(Asked("POST", "/v1/chat/completions", "r", CLOUD, text, body), **more)


def checker(most: int = 10) -> Checker:
    return Checker(Gate([SIGNER.public], 0, most), [CLOUD])


def test_what_passes_is_told_its_way() -> None:
    found = checker().answer(asked(), NOW)
    assert (found.status, dict(found.headers)) == (200, {WAY: CLOUD, POLICY: SAID})


@pytest.mark.parametrize(
    ("body", "way"),
    [
        (b'{"stream":true}', STREAM),
        (b'{"a": 1, "stream"\n:\t true , "b": 2}', STREAM),
        (b'{"stream": false}', ""),
        (b'{"stream": "true"}', ""),
        (b'{"stream": 1}', ""),
        (b'{"stream_options": {"include_usage": true}}', ""),
        (json.dumps({"messages": [{"role": "user", "content": '{"stream": true}'}]}).encode(), ""),
        (b"\xff{", ""),
    ],
)
def test_a_stream_has_a_way_of_its_own(body: bytes, way: str) -> None:
    assert checker().answer(asked(body), NOW).headers[WAY] == CLOUD + way


@pytest.mark.parametrize(
    ("more", "status", "cause"),
    [
        ({"method": "GET"}, 404, "not-sent-outside"),
        ({"path": "/v1/chat/completions?x=1"}, 404, "not-sent-outside"),
        ({"path": "/v1/models"}, 404, "not-sent-outside"),
        ({"target": "support/assistant/other"}, 503, "unknown-target"),
        ({"pass_": ""}, 403, "pass-missing"),
        ({"id": "x"}, 403, "pass-of-another-request"),
    ],
)
def test_what_does_not_pass_is_told_why(more: dict[str, str], status: int, cause: str) -> None:
    at = checker()
    found = at.answer(asked(**more), NOW)
    assert (found.status, found.headers["x-slm-cause"]) == (status, cause)
    assert WAY not in found.headers
    assert at.answer(asked(), NOW).status == 200, "it used nothing up"


def test_a_body_that_is_too_large_is_refused_though_it_is_signed() -> None:
    assert checker().answer(asked(b" " * MOST_BODY), NOW).status == 200
    assert checker().answer(asked(b" " * (MOST_BODY + 1)), NOW).status == 413


def test_full_is_not_for_ever() -> None:
    assert checker(0).answer(asked(), NOW).status == 503


def test_a_check_that_fails_is_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Gate):
        def check(self, *_: object) -> Pass:
            raise RuntimeError("the secret text")

    found = Checker(Broken([SIGNER.public], 0), [CLOUD]).answer(asked(), NOW)
    assert (found.status, found.headers["x-slm-cause"]) == (503, "unchecked")
    assert "secret" not in caplog.text


words = st.text(max_size=40)


@given(st.builds(Asked, words, words, words, words, words, st.binary(max_size=50)))
def test_whatever_is_asked_is_answered_and_has_no_text_of_it(one: Asked) -> None:
    found = checker().answer(one, NOW)
    assert found.status in (403, 404, 503)
    assert WAY not in found.headers
