"""The commands of `slm`. Each has its own module; heavy imports happen inside the command that needs them."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from smallmodel_operator import __version__
from smallmodel_operator.cli.audit_app import audit
from smallmodel_operator.cli.boundary_app import boundary
from smallmodel_operator.cli.content_app import content
from smallmodel_operator.cli.cost_app import cost
from smallmodel_operator.cli.jobs_app import jobs
from smallmodel_operator.cli.route_app import route
from smallmodel_operator.cli.simulate_app import simulate

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Small language models on your own cluster: declared, enforced, proved.",
)

Output = Annotated[str, typer.Option("--output", "-o", help="table, json or yaml.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace.")]


def _version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def slm(
    wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """What holds for all commands."""


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
def push(
    source: Annotated[Path, typer.Argument(help="A GGUF file, or a folder of safetensors.", show_default=False)],
    reference: Annotated[str, typer.Argument(help="REGISTRY/REPOSITORY[:TAG].", show_default=False)],
    ca_file: Annotated[str, typer.Option(help="PEM file of the registry's own authority.")] = "",
    output: Output = "table",
) -> None:
    """Put weights into a registry as an image, and print the URI for `spec.source.uri`."""
    from smallmodel_operator.cli.push import push as push_files

    raise typer.Exit(push_files(source, reference, ca_file, output))


@app.command()
def status(
    name: Annotated[str, typer.Argument(help="SmallModel or ModelRoute; empty lists all of the namespace.")] = "",
    namespace: Namespace = "default",
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")] = False,
    output: Output = "table",
    wait: Annotated[int, typer.Option(help="Seconds to wait for Ready, with progress.")] = 0,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show changes and downloads until all are Ready, or for --wait.")
    ] = False,
) -> None:
    """Show how models and routes stand and what to do. Exit code 0 only when all are Ready."""
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
def explain(
    name: Annotated[str, typer.Argument(help="SmallModel or ModelRoute.")],
    namespace: Namespace = "default",
) -> None:
    """Show why a model has as many replicas as it has: its objective, how it stands, the last changes. Of a route: its
    targets, their shares, and how they stand."""
    from smallmodel_operator.cli.explain import explain as explain_model

    raise typer.Exit(asyncio.run(explain_model(name, namespace)))


@app.command()
def release(
    namespace: Namespace = "smallmodel-system",
    deployment: Annotated[str, typer.Option(help="Deployment of the operator.")] = "smallmodel-operator",
    timeout: Annotated[float, typer.Option(help="Seconds until giving up.")] = 60.0,
) -> None:
    """Before an uninstall: stop the operator and take our finalizer off every SmallModel. Models keep serving."""
    from smallmodel_operator.cli.release import release as release_models

    raise typer.Exit(asyncio.run(release_models(namespace, deployment, timeout)))


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


egress = typer.Typer(help="Inside the egress's pod.", no_args_is_help=True)
app.add_typer(egress, name="egress", hidden=True)


@egress.command(name="prepare")
def egress_prepare() -> None:
    """Write what Envoy of the egress starts with."""
    from smallmodel_operator.cli.egress import prepare

    raise typer.Exit(prepare())


@egress.command(name="run")
def egress_run() -> None:
    """Check passes beside Envoy."""
    from smallmodel_operator.cli.egress import run

    raise typer.Exit(run())


app.add_typer(audit, name="audit")
app.add_typer(boundary, name="boundary")
app.add_typer(content, name="content")
app.add_typer(cost, name="cost")
app.add_typer(jobs)
app.command(name="simulate")(simulate)
app.add_typer(route, name="route")


def main() -> None:
    """Entry point of `slm` and `kubectl-slm`."""
    app()


if __name__ == "__main__":
    main()
