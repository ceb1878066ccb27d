"""What chains say of a time."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from smallmodel_operator.audit import summary
from smallmodel_operator.audit.page import page
from smallmodel_operator.audit.period import Period
from smallmodel_operator.audit.record import ORIGIN, Kind, read, seal
from smallmodel_operator.audit.report import Checkpoint, Fault, FaultKind, Report
from smallmodel_operator.audit.style import STYLE
from smallmodel_operator.audit.summary import Chain, Summary, is_inside, statement, verdict

NOVEMBER = Period.of("2026-11")
REPORT = Report(first=1, last=9)
PODS = (ip_network("10.244.0.0/16"), ip_network("fd00:10::/56"))


def summed(*bodies: dict[str, Any], inside: tuple[Any, ...] = PODS) -> Summary:
    found = Summary(NOVEMBER, inside)
    for number, body in enumerate(bodies, start=1):
        whole = {"kind": Kind.ANSWER, "time": "2026-11-21T10:00:00.000000Z", "http.response.status_code": 200, **body}
        found.add(read(seal(whole, number, ORIGIN)[0]))
    return found


def value(found: Summary, *reports: Report) -> dict[str, Any]:
    return stated(found, *(Chain(f"gateway-{n}", r) for n, r in enumerate(reports or [REPORT])))


def stated(found: Summary, *chains: Chain) -> dict[str, Any]:
    made = statement(found, chains, "2026-12-01T08:00:00Z")
    assert json.loads(json.dumps(made)) == made, "plain values only"
    return made


def test_uses_are_counted_by_model_and_caller() -> None:
    found = value(
        summed(
            {
                "slm.target": "hr/bot",
                "slm.caller": "sa:hr/app",
                "gen_ai.usage.input_tokens": 7,
                "gen_ai.usage.output_tokens": 5,
            },
            {
                "slm.target": "hr/bot",
                "slm.caller": "sa:hr/app",
                "http.response.status_code": 429,
                "slm.cause": "rate-limit",
            },
            {
                "slm.target": "hr/bot",
                "slm.caller": "sa:hr/app",
                "http.response.status_code": 500,
                "slm.cause": "stopped",  # so says the pod
                "slm.upstream.address": "10.244.0.7:8080",
            },
            {
                "slm.target": "hr/bot",
                "slm.caller": "sa:hr/app",
                "http.response.status_code": 0,
                "slm.response.flags": "DC",
            },
            {
                "slm.target": "hr/bot",
                "slm.caller": "sa:hr/app",
                "slm.response.flags": "SI",  # a stream that was cut
                "slm.upstream.address": "10.244.0.7:8080",
            },
            {"slm.target": "hr/bot", "slm.caller": "key:hr/bot"},
            {"slm.target": "hr/bot", "time": "2026-12-01T00:00:00.000000Z"},
            {"slm.target": "hr/bot", "time": "2026-10-31T23:59:59.999999Z"},
        )
    )
    key, account = found["uses"]
    assert (key["caller"], key["requests"], key["answered"]) == ("key:hr/bot", 1, 1)
    names = ("requests", "answered", "refused", "failed", "left", "input_tokens", "output_tokens")
    assert [account[name] for name in names] == [5, 1, 1, 2, 1, 7, 5]
    assert found["total"]["requests"] == 6
    assert found["causes"] == {"engine": 1, "rate-limit": 1}


def test_what_left_is_named() -> None:
    found = value(
        summed(
            {"slm.upstream.address": "10.244.0.7:8080", "http.request.body.size": 10},
            {"slm.upstream.address": "[fd00:10::7]:8080"},
            {"slm.upstream.address": "/run/smallmodel/agent.sock"},
            {"slm.upstream.address": "93.184.215.14:443", "http.request.body.size": 900},
            {"slm.upstream.address": "93.184.215.14:443", "http.request.body.size": 100},
            {"http.response.status_code": 404},
        )
    )
    left = found["left"]
    assert (left["sent"], left["requests"], left["bytes"]) == (5, 2, 1000)
    assert left["destinations"] == [{"address": "93.184.215.14:443", "requests": 2, "bytes": 1000}]
    good, sentence = verdict(found)
    assert not good
    assert "2 request(s) went to addresses outside" in sentence
    assert "93.184.215.14:443" in page(found)


def test_nothing_left() -> None:
    found = value(summed({"slm.upstream.address": "10.244.0.7:8080"}))
    assert verdict(found) == (True, verdict(found)[1])
    assert verdict(found)[1].startswith("Nothing left the cluster")


def test_a_time_of_which_records_are_gone_is_not_in_order() -> None:
    gone = Chain("gateway-0", replace(REPORT, first=900), began="2026-11-20T07:00:00.000000Z")
    good, sentence = verdict(stated(summed(), gone))
    assert not good
    assert "records of gateway-0 before 2026-11-20T07:00:00.000000Z are no longer there" in sentence
    for report, began in ((REPORT, ""), (replace(REPORT, first=900), "2026-10-31T07:00:00.000000Z")):
        assert verdict(stated(summed(), Chain("gateway-0", report, began=began)))[0]


def test_a_time_that_is_not_over_is_said_so() -> None:
    found = value(summed())
    assert "not over" not in verdict(found)[1]
    assert verdict({**found, "made": "2026-11-30T23:59:59Z"})[1].endswith("this is so far.")


def test_without_networks_nothing_is_claimed_of_addresses() -> None:
    found = value(summed({"slm.upstream.address": "93.184.215.14:443"}, inside=()))
    assert not found["left"]["judged"]
    assert "not compared" in verdict(found)[1]
    assert "not\ncompared" in page(found).replace("were not ", "were not\n")


@pytest.mark.parametrize(
    "address", ["", "x", "10.244.0.7.1:80", "localhost:80", "10.245.0.1:80", "[::1]:80", "fd01::1"]
)
def test_what_is_not_known_to_be_inside_is_outside(address: str) -> None:
    assert not is_inside(address, PODS)


def test_faults_gaps_and_no_records_are_not_in_order() -> None:
    fine = Report(first=1, last=9)
    broken = Report(first=1, last=9, faults=[Fault(FaultKind.EDITED, 4, "1.jsonl", 4)])
    counts = ({"since": "2026", "finished": 9, "recorded": 8, "missing": 1, "surplus": 0},)
    gap = Report(first=1, last=9, checkpoints=[Checkpoint(9, "2026", "k", counts)])
    for reports, words in (((fine, broken), "changed or are gone"), ((gap,), "not every request")):
        good, sentence = verdict(value(summed(), *reports))
        assert not good
        assert words in sentence
    assert "1.jsonl:4: record 4: edited" in page(value(summed(), broken))
    assert not verdict(statement(summed(), [], ""))[0]


def test_events_of_the_period_are_listed_and_ordinary_ones_counted() -> None:
    note = {"kind": Kind.NOTE, "event": "writing-failed", "why": "the disk is full"}
    found = value(summed(note, {**note, "event": "agent-began"}, {**note, "time": "2026-12-05"}))
    assert [event["event"] for event in found["events"]] == ["writing-failed"]
    assert found["ordinary_events"] == 1
    assert "the disk is full" in page(found)


def test_many_destinations_are_cut_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "MOST_OUTSIDE", 2)
    found = value(summed(*({"slm.upstream.address": f"192.0.2.{n}:1"} for n in range(5))))
    assert (len(found["left"]["destinations"]), found["left"]["addresses"]) == (2, 5)
    assert "and 3 more" in page(found)


def test_the_page_is_coloured_by_what_is_known() -> None:
    sent = {"slm.upstream.address": "10.244.0.7:8080"}
    for found, colour in (
        (value(summed(sent)), "open"),  # nobody tried the network
        (value(summed(sent, inside=())), "open"),
        (value(summed({"slm.upstream.address": "93.184.215.14:443"})), "bad"),
    ):
        assert f'<p class="verdict {colour}">' in page(found)
        assert f".{colour}{{color:var(--{colour})" in STYLE


def test_the_page_lets_its_own_style_and_nothing_else_be_used() -> None:
    text = page(value(summed()))
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{hashed}'"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in text
    assert " style=" not in text
    assert "url(" not in text
    assert "@import" not in text


def test_what_is_nested_in_an_event_is_readable() -> None:
    force = {"kind": Kind.NOTE, "event": "boundary", "namespaces": {"crm": "leak"}, "set_aside": ["1.jsonl"], "x": {}}
    text = page(value(summed(force)))
    assert "namespaces: crm leak" in text
    assert "set_aside: 1.jsonl" in text
    assert "x: none" in text


def test_nothing_a_caller_chose_is_markup_on_the_page() -> None:
    found = value(summed({"slm.target": "hr/<script>alert(1)</script>", "slm.caller": '"><img src=x>'}))
    assert "<script" not in page(found)
    assert "<img" not in page(found)
