"""`slm boundary ...`: its words and options. What they do is in boundary.py and boundary_report.py."""

import asyncio
from typing import Annotated, Literal

import typer

boundary = typer.Typer(
    help="Stop inference and allow it again; what left the cluster, and the proof of it.",
    no_args_is_help=True,
)
One = Annotated[str, typer.Option("--namespace", "-n", help="Only this namespace's models.")]
All = Annotated[bool, typer.Option("--all", help="The whole cluster.")]
Reason = Annotated[
    str, typer.Option("--reason", help="Who decided it and why: kept in the records, hidden from callers.")
]
Form = Annotated[
    Literal["text", "yaml", "json"],
    typer.Option(
        "--output", "-o", help="yaml: print the object, for Git, and change nothing; json: what each gateway says."
    ),
]
Timeout = Annotated[float, typer.Option(min=0, help="Seconds the gateways have to take it over.")]
System = Annotated[str, typer.Option("--system-namespace", help="Namespace of the gateways.")]


def _scope(namespace: str, everything: bool) -> str:
    if bool(namespace) == everything:
        raise typer.BadParameter("say what is meant: either --namespace NAME, or --all for the whole cluster.")
    return namespace


@boundary.command(name="seal")
def boundary_seal(
    namespace: One = "",
    everything: All = False,
    stop: Annotated[bool, typer.Option("--stop", help="Refuse all inference, and cut what runs.")] = False,
    reason: Reason = "",
    output: Form = "text",
    timeout: Timeout = 5.0,
    system: System = "smallmodel-system",
) -> None:
    """Deny targets outside the cluster, and have every gateway prove it; with --stop refuse all inference.

    Exit code 0 only when every gateway has it in force, and (without --stop) has proven that nothing leads outside.
    """
    from smallmodel_operator.cli.boundary import change, sealing
    from smallmodel_operator.cli.boundary_confirm import Waiting

    wish = sealing(_scope(namespace, everything), stop=stop, reason=reason)
    raise typer.Exit(asyncio.run(change(wish, output, Waiting(timeout, system))))


@boundary.command(name="unseal")
def boundary_unseal(
    namespace: One = "",
    everything: All = False,
    reason: Reason = "",
    output: Form = "text",
    timeout: Timeout = 5.0,
    system: System = "smallmodel-system",
) -> None:
    """Allow inference again. Targets outside the cluster stay denied: the ClusterBoundary has to be edited for them."""
    from smallmodel_operator.cli.boundary import change, unsealing
    from smallmodel_operator.cli.boundary_confirm import Waiting

    wish = unsealing(_scope(namespace, everything), reason=reason)
    raise typer.Exit(asyncio.run(change(wish, output, Waiting(timeout, system))))


@boundary.command(name="status")
def boundary_status(
    output: Annotated[Literal["table", "json"], typer.Option("--output", "-o")] = "table",
    system: System = "smallmodel-system",
) -> None:
    """Show what is stopped, why, and since when at each gateway. Exit code 0 only when it is in force at all."""
    from smallmodel_operator.cli.boundary import show

    raise typer.Exit(asyncio.run(show(output, system)))


Records = Annotated[
    list[str], typer.Argument(help="Folders `audit` of gateways' claims, or files from them.", metavar="FILES...")
]


@boundary.command(name="report")
def boundary_report(
    files: Records,
    period: Annotated[
        str, typer.Option(help="A time (UTC): 2026, 2026-Q4, 2026-11, 2026-11-21, or 2026-11-01..2026-11-15.")
    ],
    inside: Annotated[
        list[str] | None,
        typer.Option(
            help="A network of the cluster's pods, like 10.244.0.0/16; as often as needed. "
            "`slm boundary networks` prints them."
        ),
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="Public key of a gateway, known from elsewhere; as often as needed.")
    ] = None,
    egress: Annotated[
        list[str] | None,
        typer.Option(help="Log of the egress's pod (`kubectl logs`), joined with the records; as often as needed."),
    ] = None,
    sign_with: Annotated[str, typer.Option(help="File with your Ed25519 key (PEM): the report is signed.")] = "",
    output: Annotated[Literal["table", "json", "html"], typer.Option("--output", "-o")] = "table",
) -> None:
    """Who asked which model, what left the cluster, and when the network was seen to enforce policies.

    Exit code 0: all in order, 1: not, 2: it cannot be made.
    """
    from smallmodel_operator.cli.boundary_report import report

    raise typer.Exit(report(files, period, inside or [], key or [], sign_with, output, egress or []))


@boundary.command(name="networks")
def boundary_networks() -> None:
    """Print the networks of this cluster's pods as options for `report`. Exit code 1: the cluster does not say them."""
    from smallmodel_operator.cli.boundary_networks import show

    raise typer.Exit(asyncio.run(show()))


@boundary.command(name="check-report")
def boundary_check_report(
    file: Annotated[str, typer.Argument(help="A signed report in JSON.", metavar="FILE")],
    key: Annotated[str, typer.Option(help="Public key it has to be signed with.")] = "",
) -> None:
    """Check that a report is what was signed. Exit code 0: it is, 1: it is not, 2: it is no report."""
    from smallmodel_operator.cli.boundary_report import check_report

    raise typer.Exit(check_report(file, key))
