"""The options of `slm simulate`."""

from typing import Annotated

import typer


def simulate(
    trace: Annotated[str, typer.Option(help="CSV: TIMESTAMP, ContextTokens, GeneratedTokens.", metavar="FILE.csv")],
    profile: Annotated[str, typer.Option(help="YAML: the engine, its price, its limits.", metavar="FILE.yaml")],
    policy: Annotated[
        str, typer.Option(help="objective, hpa-inflight:T, hpa-queue:T, knative:T, kubeai:T or fixed:N.")
    ],
    ttft_p95_ms: Annotated[
        float | None, typer.Option(help="95 % of first tokens within so many milliseconds; one bound or several.")
    ] = None,
    itl_p95_ms: Annotated[
        float | None, typer.Option(help="95 % of answers with so many milliseconds from token to token.")
    ] = None,
    e2e_p95_ms: Annotated[float | None, typer.Option(help="95 % of answers complete within so many.")] = None,
    profile_error: Annotated[float, typer.Option(help="The controller believes so many times the capacity.")] = 1.0,
    start_seconds: Annotated[
        float | None, typer.Option(help="A start takes so long, whatever the profile says.")
    ] = None,
    cost_cap: Annotated[float | None, typer.Option(help="Money for the whole trace.")] = None,
    cost_action: Annotated[str, typer.Option(help="At its limit: warn, shrink-floor, cap, sleep or refuse.")] = "cap",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run a scaling policy over a trace, on a model of the engine. Exit code 2: an input makes no sense."""
    from smallmodel_operator.cli.simulate import Given, run

    bounds = (ttft_p95_ms, itl_p95_ms, e2e_p95_ms)
    given = Given(trace, profile, policy, *bounds, profile_error, start_seconds, cost_cap, cost_action)
    raise typer.Exit(run(given, as_json))
