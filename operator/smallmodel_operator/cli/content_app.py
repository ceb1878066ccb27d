"""`slm content ...`: its words and options. What they do is in content.py."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from smallmodel_operator.api.names import SYSTEM_NAMESPACE

content = typer.Typer(
    help="Texts of requests that are kept encrypted, by gateways or on files, and erased by destroying keys.",
    no_args_is_help=True,
)
Store = Annotated[Path, typer.Option("--store", help="Folder of the content and its records.")]
Keys = Annotated[Path, typer.Option("--keys", help="File of the subjects' keys: a secret, kept away from the folder.")]
Folder = Annotated[
    Path, typer.Option("--store", help="Folder of `keep`, or `audit` of gateways' claims, copied from there.")
]
TheirKeys = Annotated[
    Path | None, typer.Option("--keys", help="File of the subjects' keys; left out: the cluster's gateways are asked.")
]
System = Annotated[str, typer.Option("--system-namespace", help="Namespace of the gateways.")]
Subject = Annotated[str, typer.Option("--subject", help="Who it is about, as you call them.")]
Form = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json.")]


@content.command(name="keep")
def content_keep(
    file: Annotated[str, typer.Argument(help="The body of a request, JSON as a client sends it; - is standard input.")],
    request: Annotated[str, typer.Option(help="Its id: `x-request-id` of the answer.")],
    subject: Subject,
    store: Store,
    keys: Keys,
    form: Annotated[
        Literal["Redacted", "Full"],
        typer.Option(help="Redacted: without what detectors find; Full: without secrets alone."),
    ] = "Redacted",
    policy: Annotated[
        str, typer.Option(help="YAML with detectors, patterns, denyTerms; left out: all detectors.")
    ] = "",
) -> None:
    """Encrypt a request's texts under the subject's key, and print what their record says. Exit code 2: nothing is
    kept."""
    from smallmodel_operator.audit.content.sealed import Form as Kept
    from smallmodel_operator.cli.content import guarded, keep

    raise typer.Exit(guarded(lambda: keep(file, request, subject, Kept(form), policy, store, keys)))


@content.command(name="show")
def content_show(
    request: Annotated[str, typer.Argument(help="Its id.", metavar="REQUEST-ID")],
    store: Folder,
    keys: TheirKeys = None,
    system: System = SYSTEM_NAMESPACE,
) -> None:
    """Print the texts kept of a request. Exit code 1: they are not there, or erased."""
    from smallmodel_operator.cli.content import guarded, show

    raise typer.Exit(guarded(lambda: show(request, store, keys, system)))


@content.command(name="erase")
def content_erase(
    subject: Subject,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Of the route: erase in the cluster, whose gateways kept it.")
    ] = "",
    store: Annotated[Path | None, typer.Option("--store", help="Folder of `keep`, with --keys: erase there.")] = None,
    keys: Annotated[Path | None, typer.Option("--keys", help="File of `keep` with the subjects' keys.")] = None,
    system: System = SYSTEM_NAMESPACE,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it, only say what would be erased.")] = False,
    output: Form = "text",
) -> None:
    """Destroy a subject's keys for ever. On files it is recorded here, in the cluster by each gateway. Exit code 1:
    there is none."""
    from smallmodel_operator.cli import content_keys
    from smallmodel_operator.cli.content import erase, guarded
    from smallmodel_operator.cli.content_store import Unusable

    def work() -> int:
        if namespace and store is None and keys is None:
            return content_keys.erase(subject, namespace, system, yes, output)
        if store is None or keys is None or namespace:
            raise Unusable("Give either --namespace of the route (in the cluster), or --store and --keys (on files).")
        return erase(subject, store, keys, yes, output)

    raise typer.Exit(guarded(work))


@content.command(name="verify")
def content_verify(
    store: Folder, keys: TheirKeys = None, system: System = SYSTEM_NAMESPACE, output: Form = "text"
) -> None:
    """Check the records, and say of each content whether it is readable, erased, changed or gone. Exit 1: faults."""
    from smallmodel_operator.cli.content import guarded, verify

    raise typer.Exit(guarded(lambda: verify(store, keys, system, output)))


@content.command(name="keys")
def content_keys_(system: System = SYSTEM_NAMESPACE) -> None:
    """Print the gateways' keys of subjects, for an auditor without access to the cluster: they are secret."""
    from smallmodel_operator.cli import content_keys
    from smallmodel_operator.cli.content import guarded

    raise typer.Exit(guarded(lambda: content_keys.export(system)))
