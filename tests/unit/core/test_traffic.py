"""What the gateways say of a model, taken together."""

from smallmodel_operator.core.traffic import ColdStart, GatewayReport, Traffic, typical


def test_the_typical_start_is_one_that_was_seen() -> None:
    starts = [ColdStart(0.1, 0.1, 9.0), ColdStart(1.0, 0.5, 0.5), ColdStart(0.1, 0.1, 0.1)]
    assert typical(starts) == starts[1]
    assert typical([]) is None


def test_starts_of_all_gateways_count_also_of_one_that_fell_silent() -> None:
    one, two = ColdStart(0.0, 0.0, 1.0), ColdStart(0.0, 0.0, 3.0)
    reports = (
        GatewayReport("a", 0.5, routes=True, cold_starts=(one,)),
        GatewayReport("b", 60.0, routes=True, cold_starts=(two, two)),
    )
    assert Traffic(reports).cold_start == two
    assert Traffic().cold_start is None
