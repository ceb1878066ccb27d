"""`slm audit ...`: its words and options. What they do is in audit.py and audit_….py."""

import asyncio
from typing import Annotated, Literal

import typer

from smallmodel_operator.api.names import SYSTEM_NAMESPACE
from smallmodel_operator.cli.boundary_app import Records

Output = Annotated[str, typer.Option("--output", "-o", help="table, json or yaml.")]
System = Annotated[str, typer.Option("--system-namespace", help="Namespace of the gateways.")]

audit = typer.Typer(
    help="Records of answers, checked and read from their files: no cluster needed.", no_args_is_help=True
)


@audit.command(name="verify")
def audit_verify(
    files: Records,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Public key a gateway signs with, known from elsewhere; as often as needed."),
    ] = None,
    noted: Annotated[
        str, typer.Option(help="What an earlier `verify -o json` printed: older files put in the place of newer ones.")
    ] = "",
    part: Annotated[
        bool,
        typer.Option(
            "--part", help="Only a piece of a chain is here: do not check its ends. One with gaps ends with 1."
        ),
    ] = False,
    output: Output = "table",
) -> None:
    """Check that no record was changed, moved, added or taken away. Exit code 0: intact, 1: faults, 2: unreadable."""
    from smallmodel_operator.cli.audit import verify

    raise typer.Exit(verify(files, key or [], part, output, noted))


@audit.command(name="show")
def audit_show(
    request: Annotated[
        str, typer.Argument(help="`x-request-id` of the answer, or how it begins.", metavar="REQUEST-ID")
    ],
    files: Records,
    output: Output = "table",
) -> None:
    """Print what is recorded of one request. Exit code 1 when there is nothing."""
    from smallmodel_operator.cli.audit_show import show

    raise typer.Exit(show(request, files, output))


@audit.command(name="export")
def audit_export(
    files: Records,
    since: Annotated[str, typer.Option(help="Answers from this time on, like 2026-11-21T14 (UTC).")] = "",
    until: Annotated[str, typer.Option(help="Answers before this time.")] = "",
    target: Annotated[str, typer.Option(help="Answers of <namespace> or <namespace>/<model>.")] = "",
    form: Annotated[
        str, typer.Option("--format", help="jsonl: records as they stand; otlp: OpenTelemetry log records.")
    ] = "jsonl",
) -> None:
    """Write JSON lines: the whole chain as it stands, or the answers that are asked for.

    Exit code 1: among what was read are records that are not what was written (they are exported as they stand, and
    named on standard error), 2: something cannot be read.
    """
    from smallmodel_operator.cli.audit_export import export

    raise typer.Exit(export(files, since, until, target, form))


@audit.command(name="tail")
def audit_tail(
    files: Records,
    number: Annotated[int, typer.Option("-n", "--number", min=0, help="So many answers.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more are recorded.")] = False,
    output: Output = "table",
) -> None:
    """Print the last answers, and what stopped inference among them."""
    from smallmodel_operator.cli.audit_tail import tail

    raise typer.Exit(tail(files, number, follow, output))


@audit.command(name="match")
def audit_match(
    request: Annotated[
        str, typer.Argument(help="`x-request-id` of the answer, or how it begins.", metavar="REQUEST-ID")
    ],
    files: Records,
    body: Annotated[str, typer.Option(help="File with the body, byte for byte; - reads standard input.")],
    key_file: Annotated[
        list[str] | None,
        typer.Option(help="File `slm audit key` printed, as often as needed. Without one the cluster is asked."),
    ] = None,
    system: System = SYSTEM_NAMESPACE,
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o")] = "text",
) -> None:
    """Is this body the one that was sent? Exit code 0: it is, 1: it is not, 2: that cannot be told.

    For models with spec.audit.requestHMAC: Enabled, and bodies of at most 64 KiB.
    """
    from smallmodel_operator.cli.audit_match import match

    raise typer.Exit(asyncio.run(match(request, files, body, key_file or [], system, output)))


@audit.command(name="key")
def audit_key(
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the models.")],
    generation: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="`spec.audit.keyGeneration`: a record's key begins with it.")
    ] = 1,
    system: System = SYSTEM_NAMESPACE,
) -> None:
    """Print the key of a namespace's request HMACs, for an auditor who has no access to the cluster: it is a secret."""
    from smallmodel_operator.cli.audit_match import export_key

    raise typer.Exit(asyncio.run(export_key(namespace, generation, system)))
