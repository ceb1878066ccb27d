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


def said(idle: float, age: float = 0.5, in_flight: int = 0) -> GatewayReport:
    return GatewayReport("g", age, routes=True, in_flight=in_flight, idle=idle)


def test_a_gateway_that_is_not_ready_may_still_carry_a_stream() -> None:
    ready = (said(900),)
    assert Traffic(ready, (said(400),)).idle == 400
    assert Traffic(ready, (said(900, in_flight=1),)).busy
    assert not Traffic(ready, (said(900, age=60),)).complete
    assert not Traffic((), (said(900),)).complete, "nobody could wake the model"
    assert (Traffic((), (said(900),)).routed, Traffic(ready, (said(900),)).routed) == (0, 1), "nothing new goes there"
