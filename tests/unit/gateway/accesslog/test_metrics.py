"""What is counted, and for how long."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hack.cluster.paths import REPOSITORY
from prometheus_client import CollectorRegistry, generate_latest

from smallmodel_operator.gateway.accesslog.format import FIELDS
from smallmodel_operator.gateway.accesslog.metrics import CAUSES, RequestMetrics
from smallmodel_operator.gateway.accesslog.observe import Ending, Observation

BOT = {"namespace": "support", "model": "bot"}
SERVED = Observation(
    **BOT, caller_class="client-key", status=200, ending=Ending.SERVED, first_token=0.3, inter_token=0.02,
    end_to_end=0.9, input_tokens=7, output_tokens=3, generates=True,
)  # fmt: skip


class Counting:
    def __init__(self, **bounds: Any) -> None:
        self.registry = CollectorRegistry()
        self.metrics = RequestMetrics(self.registry, **bounds)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"smallmodel_gateway_{name}", {**BOT, **labels})

    def text(self) -> str:
        return generate_latest(self.registry).decode()


@pytest.fixture
def counting() -> Counting:
    return Counting()


def test_a_served_request(counting: Counting) -> None:
    counting.metrics.record(SERVED)
    assert counting.value("requests_total", caller_class="client-key", code="200") == 1
    assert (counting.value("input_tokens_total"), counting.value("output_tokens_total")) == (7, 3)
    for name, total in (("time_to_first_token", 0.3), ("inter_token", 0.02), ("end_to_end", 0.9)):
        assert counting.value(f"{name}_seconds_sum") == total
        assert counting.value(f"{name}_seconds_count") == 1
    assert (counting.value("failed_total"), counting.value("upstream_resets_total")) == (0, 0)
    assert counting.value("left_before_end_seconds_count") is None


def test_a_request_that_came_by_a_route_counts_for_both(counting: Counting) -> None:
    counting.metrics.record(replace(SERVED, route="support/desk/small"))
    counting.metrics.record(
        Observation("", "", "client-key", 403, Ending.REFUSED, cause="not-allowed", route="support/desk")
    )
    assert counting.value("requests_total", caller_class="client-key", code="200") == 1
    routed = "smallmodel_gateway_routed_requests_total"
    for target, code in (("small", "200"), ("", "403")):
        labels = {"namespace": "support", "route": "desk", "target": target, "code": code}
        assert counting.registry.get_sample_value(routed, labels) == 1


def test_bounds_are_given(counting: Counting) -> None:
    exact = Counting(first_token=(0.3, 0.5))
    exact.metrics.record(SERVED)
    exact.metrics.record(replace(SERVED, first_token=0.31))
    assert exact.value("time_to_first_token_seconds_bucket", le="0.3") == 1
    assert exact.value("time_to_first_token_seconds_bucket", le="0.5") == 2


def test_what_failed(counting: Counting) -> None:
    failed = Observation(**BOT, caller_class="none", status=503, ending=Ending.FAILED, cause="off", reset=True)
    counting.metrics.record(failed)
    assert counting.value("failed_total") == 1
    assert counting.value("upstream_resets_total") == 1
    assert counting.value("refused_total", cause="off") == 1
    assert counting.value("end_to_end_seconds_count") is None


def test_who_left(counting: Counting) -> None:
    left = Observation(**BOT, caller_class="client-key", status=0, ending=Ending.LEFT, waited=2.5)
    counting.metrics.record(left)
    counting.metrics.record(replace(left, status=200, first_token=0.1))
    assert counting.value("left_before_first_token_seconds_count") == 1
    assert counting.value("left_before_end_seconds_count") == 2
    assert counting.value("time_to_first_token_seconds_count") == 1
    assert counting.value("failed_total") == 0


def test_unknown_tokens_are_not_none(counting: Counting) -> None:
    counting.metrics.record(replace(SERVED, output_tokens=None))
    assert counting.value("answers_without_tokens_total") == 1
    assert counting.value("output_tokens_total") is None


def test_models_that_are_gone_leave_nothing(counting: Counting) -> None:
    counting.metrics.record(replace(SERVED, cause="x", ending=Ending.LEFT, waited=1.0, generates=True))
    counting.metrics.record(replace(SERVED, output_tokens=None))
    counting.metrics.record(replace(SERVED, model="other"))
    nobodys = Observation("", "", "none", 401, Ending.REFUSED, "no-credential")
    counting.metrics.record(nobodys)
    counting.metrics.keep_only({"support/other"})
    text = counting.text()
    assert 'model="bot"' not in text
    assert 'model="other"' in text
    assert 'cause="no-credential"' in text
    counting.metrics.record(SERVED)
    assert counting.value("requests_total", caller_class="client-key", code="200") == 1


def test_causes_are_bounded(counting: Counting) -> None:
    refused = Observation(**BOT, caller_class="none", status=500, ending=Ending.FAILED)
    for number in range(3 * CAUSES):
        name = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        counting.metrics.record(replace(refused, cause=f"made-up-{name}"))
    for cause in ("Big", "with space", "x" * 41, "über"):
        counting.metrics.record(replace(refused, cause=cause))
    lines = [line for line in counting.text().splitlines() if line.startswith("smallmodel_gateway_refused_total{")]
    assert len(lines) == CAUSES + 1
    assert counting.value("refused_total", cause="other") == 2 * CAUSES + 4


# -- the reference pages ---------------------------------------------------------------------------------------

PACKAGE = REPOSITORY / "operator" / "smallmodel_operator"


def documented(page: str) -> dict[str, str]:
    """Names in the first column of a page's tables, and their lines."""
    text = (REPOSITORY / "docs" / "reference" / page).read_text()
    return {m[1]: m[0] for m in re.finditer(r"^\| `([\w.]+)(?:\{[^`]*\})?` \|.*$", text, re.M)}


def test_the_page_on_the_log_says_what_a_line_says() -> None:
    rows = documented("gateway-log.md")
    assert list(rows) == list(FIELDS)
    for name, field in FIELDS.items():
        assert field.meaning in rows[name], name
        assert ("| number |" if field.json is int else "| text |") in rows[name], name


def defined() -> set[str]:
    """Names of all metrics in the source, as they are scraped."""
    import smallmodel_operator.gateway.accesslog.metrics  # noqa: I001 - registers its own
    import smallmodel_operator.gateway.activate.metrics
    import smallmodel_operator.gateway.budget.metrics
    import smallmodel_operator.gateway.decide.metrics
    import smallmodel_operator.gateway.egress.metrics
    import smallmodel_operator.gateway.exporter
    import smallmodel_operator.gateway.metrics
    import smallmodel_operator.gateway.record.metrics
    import smallmodel_operator.runtime.metrics  # noqa: F401
    from prometheus_client import REGISTRY

    own = CollectorRegistry()
    RequestMetrics(own)
    suffix = {"counter": "_total", "info": "_info"}
    found = [m for registry in (REGISTRY, own) for m in registry.collect() if m.name.startswith("smallmodel_")]
    return {m.name + suffix.get(m.type, "") for m in found}


def test_the_page_on_metrics_has_each_metric_and_no_other() -> None:
    assert set(documented("metrics.md")) == defined()


def test_no_module_hides_a_metric() -> None:
    made = {p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py") if "from prometheus_client import" in p.read_text()}
    assert {p for p in made if p.name != "http.py"} == {
        Path("runtime/metrics.py"), Path("runtime/cost_metrics.py"), Path("gateway/metrics.py"),
        Path("gateway/activate/metrics.py"),
        Path("gateway/accesslog/metrics.py"), Path("gateway/record/metrics.py"), Path("gateway/exporter.py"),
        Path("gateway/decide/metrics.py"), Path("gateway/egress/metrics.py"), Path("gateway/budget/metrics.py"),
        Path("gateway/content/metrics.py"),
    }  # fmt: skip
