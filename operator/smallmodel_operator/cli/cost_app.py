"""`slm cost ...`: its words and options. What they do is in cost.py and cost_breakeven.py."""

import asyncio
import re
from typing import Annotated, Literal

import typer

cost = typer.Typer(help="What models cost, and when a node of your own is cheaper than a cloud.")


@cost.callback(invoke_without_command=True)
def cost_show(
    context: typer.Context,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Only this namespace's models.")] = "",
    month: Annotated[str, typer.Option(help="A month (UTC) like 2026-11; empty: this one.")] = "",
    output: Annotated[Literal["table", "json", "csv"], typer.Option("--output", "-o")] = "table",
    system: Annotated[str, typer.Option("--system-namespace", help="Namespace of the operator.")] = "smallmodel-system",
) -> None:
    """What models cost in a month, prompt and generated tokens apart, beside a cloud's prices; and what was idle.

    Exit code 1: nothing can be said of the month.
    """
    if context.invoked_subcommand is not None:
        return
    from smallmodel_operator.cli.cost import Asked, show

    if month and not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month):
        raise typer.BadParameter("--month is a month like 2026-11.")
    raise typer.Exit(asyncio.run(show(Asked(namespace, month, system), output)))


@cost.command(name="breakeven")
def cost_breakeven(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Manifests: a ComputeProfile with `price`, and a SmallModel from the cluster, whose `status.capacity` "
            "says how fast it is. - reads standard input.",
            metavar="FILES...",
        ),
    ],
    prices: Annotated[str, typer.Option(help="The cloud's price list: its YAML, or a ConfigMap with it.")],
    prompt_tokens: Annotated[str, typer.Option(help="Tokens of a usual prompt.")] = "500",
    generated_tokens: Annotated[str, typer.Option(help="Tokens of a usual answer.")] = "150",
    utilization: Annotated[str, typer.Option(help="Percent of the time the node is busy.")] = "50",
    replicas: Annotated[int, typer.Option("--replicas-per-node", help="Replicas a node has room for.")] = 1,
    prefill: Annotated[
        str, typer.Option("--prefill-tokens-per-second", help="Instead of the SmallModel's measured speed.")
    ] = "",
    decode: Annotated[
        str, typer.Option("--decode-tokens-per-second", help="The same, with as many requests at once as help.")
    ] = "",
    output: Annotated[Literal["table", "json", "csv"], typer.Option("--output", "-o")] = "table",
) -> None:
    """From which utilization a node is cheaper than a cloud, when it has paid for itself, and at which price the cloud
    wins. Without a cluster. Exit code 2: an input makes no sense.
    """
    from smallmodel_operator.cli.cost_breakeven import Given, run

    given = Given(tuple(files), prices, prompt_tokens, generated_tokens, utilization, replicas, prefill, decode)
    raise typer.Exit(run(given, output))
