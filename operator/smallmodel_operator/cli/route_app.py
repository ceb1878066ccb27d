"""`slm route ...`: its words and options. What they do is in route.py and route_check.py."""

import asyncio
from typing import Annotated, Literal

import typer

route = typer.Typer(
    help="Which model suits a request, and whether it may leave: tried on files. And how a route's budgets stand.",
    no_args_is_help=True,
)
Dataset = Annotated[str, typer.Option("--dataset", help="A file of examples, or a folder of them.")]
Format = Annotated[
    Literal["routellm", "jsonl"],
    typer.Option("--format", help="routellm: CSV with `prompt` and a True/False column a model; jsonl: the same."),
]
Form = Annotated[Literal["table", "json"], typer.Option("--output-format", "-o", help="table or json.")]


@route.command(name="train")
def route_train(
    dataset: Dataset,
    output: Annotated[str, typer.Option("--output", help="The classifier's file.")],
    form: Format = "jsonl",
    strong: Annotated[str, typer.Option(help="Column of the larger model.")] = "",
    weak: Annotated[str, typer.Option(help="Column of the smaller model.")] = "",
    rows: Annotated[
        Literal["", "even", "all"],
        typer.Option(
            help="even: only rows whose prompt's SHA-256 is even, so that the others can test it (routellm's default); "
            "all (jsonl's)."
        ),
    ] = "",
    said: Form = "table",
) -> None:
    """Learn when to escalate from the answers of two models, or (without --strong and --weak) classes of tasks."""
    from smallmodel_operator.cli.route import train

    chosen = rows or ("even" if form == "routellm" else "all")
    raise typer.Exit(train(dataset, form, (strong, weak), output, chosen, said))


@route.command(name="evaluate")
def route_evaluate(
    dataset: Dataset,
    strong: Annotated[str, typer.Option(help="Column of the larger model; without both: classes of tasks.")] = "",
    weak: Annotated[str, typer.Option(help="Column of the smaller model.")] = "",
    form: Format = "routellm",
    classifier: Annotated[
        str,
        typer.Option(help="A file of `slm route train`; left out, it is learned from rows with an even SHA-256."),
    ] = "",
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Of classes: `classifier.threshold` of a route; left out: the learned one."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; there is no other form.")] = True,
) -> None:
    """Test it on the rows whose prompt's SHA-256 is odd: how much of the gap between two models it closes, and when;
    or (without --strong and --weak, on JSON lines with `class`) how often it names the right class."""
    from smallmodel_operator.cli.route import evaluate, failed
    from smallmodel_operator.cli.route_classes import evaluate_classes

    if bool(strong) != bool(weak):
        raise typer.Exit(failed("name both --strong and --weak, or neither to test classes of tasks."))
    if not strong:
        raise typer.Exit(evaluate_classes(dataset, classifier, threshold))
    if threshold is not None:
        raise typer.Exit(failed("--threshold is for classes of tasks: leave it out where two models are named."))
    raise typer.Exit(evaluate(dataset, form, strong, weak, classifier))


@route.command(name="confidence")
def route_confidence(
    dataset: Dataset,
    weak: Annotated[str, typer.Option(help="Column of the model whose confidence it is.")],
    strong: Annotated[str, typer.Option(help="Column of a larger model: adds what escalating would close.")] = "",
) -> None:
    """Say from a model's answers in JSON lines (with `response`, or `confidence`) how far its own token probabilities
    tell right from wrong, tested on the rows whose prompt's SHA-256 is odd. A report; `below` of a route is
    yours to set."""
    from smallmodel_operator.cli.route_confidence import report

    raise typer.Exit(report(dataset, strong, weak))


@route.command(name="classify")
def route_classify(
    classifier: Annotated[str, typer.Option(help="A file of `slm route train`.")],
    prompts: Annotated[str, typer.Argument(help="JSON lines with `prompt`; - is standard input.")] = "-",
    text: Annotated[str, typer.Option(help="One prompt, in place of a file.")] = "",
    explain: Annotated[bool, typer.Option("--explain", help="The n-grams that decided.")] = False,
    said: Form = "table",
) -> None:
    """Say what a classifier says of prompts."""
    from smallmodel_operator.cli.route import classify

    raise typer.Exit(classify(classifier, prompts, text, explain, said))


@route.command(name="check")
def route_check(
    file: Annotated[str, typer.Argument(help="The body of a request, JSON as a client sends it; - is standard input.")],
    policy: Annotated[
        str, typer.Option(help="YAML with detectors, labels, patterns, denyTerms; left out: all detectors.")
    ] = "",
    label: Annotated[list[str] | None, typer.Option(help="A label of the request; as often as needed.")] = None,
    said: Form = "table",
) -> None:
    """Say whether a request could leave the cluster, and why not. Exit code 0: it could, 1: it stays, 2: unreadable."""
    from smallmodel_operator.cli.route_check import check

    raise typer.Exit(check(file, policy, label or [], said))


@route.command(name="redact")
def route_redact(
    file: Annotated[str, typer.Argument(help="The body of a request, JSON as a client sends it; - is standard input.")],
    policy: Annotated[
        str, typer.Option(help="YAML with detectors, patterns, denyTerms; left out: all detectors.")
    ] = "",
) -> None:
    """Print a request's texts, with what the detectors find replaced by its kind. Exit code 0: nothing was, 1: some
    was, 2: unreadable."""
    from smallmodel_operator.cli.route_redact import redact

    raise typer.Exit(redact(file, policy))


@route.command(name="budget")
def route_budget(
    name: Annotated[str, typer.Argument(help="ModelRoute.")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Namespace.")] = "default",
    said: Form = "table",
) -> None:
    """Show how the budgets of a route stand. Exit code 0: none of the route's is used up; 1: one is, or nothing is
    known."""
    from smallmodel_operator.cli.route_budget import budget

    raise typer.Exit(asyncio.run(budget(name, namespace, said)))


@route.command(name="cost")
def route_cost(
    name: Annotated[str, typer.Argument(help="ModelRoute.")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Namespace.")] = "default",
    system: Annotated[str, typer.Option("--system-namespace", help="Namespace of the operator.")] = "smallmodel-system",
    said: Form = "table",
) -> None:
    """Show what a route with a budget in money spent outside in this window, and what this month's tokens of its
    SmallModels would have cost there. Exit code 1: nothing can be said."""
    from smallmodel_operator.cli.route_cost import cost

    raise typer.Exit(asyncio.run(cost(name, namespace, system, said)))
