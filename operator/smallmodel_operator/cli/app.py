"""The commands of `slm`. Each has its own module; heavy imports happen inside the command that needs them."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from smallmodel_operator import __version__
from smallmodel_operator.cli.audit_app import audit
from smallmodel_operator.cli.boundary_app import boundary
from smallmodel_operator.cli.route_app import route
from smallmodel_operator.cli.simulate_app import simulate
from smallmodel_operator.core.engine import GGUF

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Small language models on your own cluster: declared, enforced, proved.",
)

Output = Annotated[str, typer.Option("--output", "-o", help="table, json or yaml.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace.")]


@app.command()
def run() -> None:
    """Run the operator (in the cluster, or here with your KUBECONFIG). Settings: SLM_… variables."""
    from smallmodel_operator.cli.run import run as run_operator

    raise typer.Exit(run_operator())


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command()
def lint(
    files: Annotated[list[str], typer.Argument(help="Manifests, or folders of them; - reads standard input.")],
) -> None:
    """Check manifests without a cluster: schema and rules, as the API server would."""
    from smallmodel_operator.cli.lint import lint as lint_files

    raise typer.Exit(lint_files(files))


@app.command()
def render(
    files: Annotated[list[str], typer.Argument(help="Manifests: SmallModels and the ComputeProfiles they name.")],
    output: Output = "yaml",
) -> None:
    """Print the objects a SmallModel becomes, without a cluster."""
    from smallmodel_operator.cli.render import render as render_files

    raise typer.Exit(render_files(files, output))


@app.command()
def status(
    name: Annotated[str, typer.Argument(help="SmallModel; empty lists all of the namespace.")] = "",
    namespace: Namespace = "default",
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")] = False,
    output: Output = "table",
    wait: Annotated[int, typer.Option(help="Seconds to wait for Ready, with progress.")] = 0,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show changes and downloads until all are Ready, or for --wait.")
    ] = False,
) -> None:
    """Show how models stand and what to do. Exit code 0 only when all are Ready."""
    from smallmodel_operator.cli.status import show

    if all_namespaces and name:
        raise typer.BadParameter("a name is of one namespace: say -n NAMESPACE, or leave the name out.")
    if watch and output != "table":
        raise typer.BadParameter("--watch draws a table: leave -o out, or --watch.")
    where = None if all_namespaces else namespace
    try:
        code = asyncio.run(show(name, where, output, wait, watch=watch))
    except KeyboardInterrupt:
        code = 130  # as a shell reports it; somebody who has seen enough needs no words
    raise typer.Exit(code)


@app.command()
def release(
    namespace: Namespace = "smallmodel-system",
    deployment: Annotated[str, typer.Option(help="Deployment of the operator.")] = "smallmodel-operator",
    timeout: Annotated[float, typer.Option(help="Seconds until giving up.")] = 60.0,
) -> None:
    """Before an uninstall: stop the operator and take our finalizer off every SmallModel. Models keep serving."""
    from smallmodel_operator.cli.release import release as release_models

    raise typer.Exit(asyncio.run(release_models(namespace, deployment, timeout)))


@app.command(hidden=True)
def inspect_weights(
    root: Annotated[str, typer.Option()],
    artifact: Annotated[str, typer.Option()],
    path: Annotated[str, typer.Option()] = "",
    sha256: Annotated[str, typer.Option()] = "",
    claim: Annotated[str, typer.Option(help="uid of the claim that is mounted")] = "",
    signed_by: Annotated[str, typer.Option(help="Secret and entry of the key the weights must be signed by")] = "",
    public_key: Annotated[str, typer.Option(help="where that key is mounted")] = "",
    survey: Annotated[bool, typer.Option("--survey", help="tell of all files, instead of describing one")] = False,
    layout: Annotated[str, typer.Option("--format", help="GGUF, or Safetensors: a folder")] = GGUF,
) -> None:
    """Inside an inspection Job: check mounted weights and read their header."""
    from smallmodel_operator.cli.inspect_weights import inspect
    from smallmodel_operator.cli.survey_weights import survey as look_around
    from smallmodel_operator.cli.verify_weights import Wish

    signed = Wish(signed_by, Path(public_key)) if signed_by else None
    if survey:
        raise typer.Exit(look_around(root, path, artifact, claim, signed))
    raise typer.Exit(inspect(root, path, artifact, sha256, claim, signed, layout=layout))


@app.command(hidden=True)
def fetch_weights(
    folder: Annotated[str, typer.Option()],
    artifact: Annotated[str, typer.Option()],
    url: Annotated[str, typer.Option(help="the file's address, or")] = "",
    hub: Annotated[str, typer.Option(help="the endpoint of a hub that holds it")] = "",
    repository: Annotated[str, typer.Option()] = "",
    revision: Annotated[str, typer.Option()] = "",
    file: Annotated[str, typer.Option()] = "",
    sha256: Annotated[str, typer.Option()] = "",
    s3_region: Annotated[str, typer.Option(help="the address is of an S3 store of this region")] = "",
    secret: Annotated[str, typer.Option(help="name of the Secret that is mounted")] = "",
    claim: Annotated[str, typer.Option(help="uid of the claim that holds the folder")] = "",
    ca_file: Annotated[str, typer.Option(help="authorities to trust besides the public ones")] = "",
    port: Annotated[int, typer.Option(help="where to say how far it is")] = 0,
) -> None:
    """Inside a download Job: fetch one file over https and check it."""
    from smallmodel_operator.cli.fetch_weights import Download, answer_and_fetch
    from smallmodel_operator.cli.hub import Repository

    where = Repository(hub, repository, revision, file) if hub else url
    wish = Download(where, sha256, folder, artifact, claim, ca_file, secret, s3_region=s3_region)
    raise typer.Exit(answer_and_fetch(wish, port))


@app.command(hidden=True)
def evict_weights(
    root: Annotated[str, typer.Option()],
    needed: Annotated[int, typer.Option(help="bytes that have to be free")],
    before: Annotated[int, typer.Option(help="what was used since then stays; seconds since 1970")],
    keep: Annotated[list[str] | None, typer.Option(help="folders that stay")] = None,
) -> None:
    """Inside an eviction Job: remove unused weights from the claim until there is room."""
    from smallmodel_operator.cli.evict_weights import evict

    raise typer.Exit(evict(Path(root), frozenset(keep or ()), needed, before))


canary = typer.Typer(help="Inside the canary's pods.", no_args_is_help=True)
app.add_typer(canary, name="canary", hidden=True)


@canary.command(name="listen")
def canary_listen(run: Annotated[str, typer.Option()], domain: Annotated[str, typer.Option()]) -> None:
    """Answer the pod that leads the run, and try what it says."""
    from smallmodel_operator.cli.canary import listen

    raise typer.Exit(listen(run, domain))


@canary.command(name="lead")
def canary_lead(
    run: Annotated[str, typer.Option()],
    domain: Annotated[str, typer.Option()],
    model: Annotated[str, typer.Option()],
    stranger: Annotated[list[str], typer.Option()],
    node: Annotated[str, typer.Option()],
) -> None:
    """Try what policies forbid beside what they allow, and report."""
    from smallmodel_operator.cli.canary import Lead, lead

    raise typer.Exit(lead(Lead(run, model, tuple(stranger), node, domain)))


gateway = typer.Typer(help="Inside a gateway pod.", no_args_is_help=True)
app.add_typer(gateway, name="gateway", hidden=True)


@gateway.command(name="prepare")
def gateway_prepare() -> None:
    """Write what Envoy needs to start."""
    from smallmodel_operator.cli.gateway import prepare

    raise typer.Exit(prepare())


@gateway.command(name="run")
def gateway_run() -> None:
    """Run the agent beside Envoy."""
    from smallmodel_operator.cli.gateway import run

    raise typer.Exit(run())


app.add_typer(audit, name="audit")
app.add_typer(boundary, name="boundary")
app.command(name="simulate")(simulate)
app.add_typer(route, name="route")


def main() -> None:
    """Entry point of `slm` and `kubectl-slm`."""
    app()


if __name__ == "__main__":
    main()
