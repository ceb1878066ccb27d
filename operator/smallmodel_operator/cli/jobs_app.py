"""What Jobs run of `slm`: words and options. Hidden, for nobody calls them by hand."""

from pathlib import Path
from typing import Annotated

import typer

from smallmodel_operator.core.engine import GGUF

jobs = typer.Typer()


@jobs.command(hidden=True)
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
    accept: Annotated[list[str] | None, typer.Option(help="types to tell of how they would come out")] = None,
) -> None:
    """Inside an inspection Job: check mounted weights and read their header."""
    raise typer.Exit(_look(root, path, artifact, sha256, claim, signed_by, public_key, survey, layout, accept))


def _look(
    root: str,
    path: str,
    artifact: str,
    sha256: str,
    claim: str,
    signed_by: str,
    public_key: str,
    survey: bool,
    layout: str,
    accept: list[str] | None,
) -> int:
    from smallmodel_operator.cli.inspect_weights import inspect
    from smallmodel_operator.cli.survey_weights import Place
    from smallmodel_operator.cli.survey_weights import survey as look_around
    from smallmodel_operator.cli.verify_weights import Wish

    signed = Wish(signed_by, Path(public_key)) if signed_by else None
    if survey:
        return look_around(Place(root, path, artifact, claim, tuple(accept or ())), signed)
    return inspect(root, path, artifact, sha256, claim, signed, layout=layout)


Folder = Annotated[str, typer.Option()]
Type = Annotated[str, typer.Option("--type")]
Parent = Annotated[str, typer.Option(help="SHA-256 of the parent")]
Region = Annotated[str, typer.Option(help="the address is of an S3 store of this region")]
Secret = Annotated[str, typer.Option(help="name of the Secret that is mounted")]
Authorities = Annotated[str, typer.Option(help="authorities to trust besides the public ones")]
HubFile = Annotated[str, typer.Option(help="file in it, or folder")]
Layout = Annotated[str, typer.Option("--format", help="GGUF: one file; Safetensors: a folder; Either: what there is")]
Port = Annotated[int, typer.Option(help="where to say how far it is")]
Work = Annotated[str, typer.Option(help="name of the folder in it that the work is done in")]
MatrixConfigMap = Annotated[str, typer.Option(help="ConfigMap and entry of the text of the importance matrix")]
SourceDigest = Annotated[str, typer.Option("--digest", help="SHA-256 of all that is read of the source")]


@jobs.command(hidden=True)
def prepare_weights(
    folder: Folder,
    kind: Type,
    digest: Parent,
    work: Work,
    parent: Annotated[str, typer.Option(help="file or folder it is made from")],
    disk: Annotated[int, typer.Option(help="bytes the work takes in the claim")],
    text: Annotated[str, typer.Option(help="where the text is mounted that it is measured on")] = "",
    config_map: Annotated[str, typer.Option(help="ConfigMap and entry it comes from")] = "",
    matrix_text: Annotated[str, typer.Option(help="where the text of the importance matrix is mounted")] = "",
    matrix_config_map: MatrixConfigMap = "",
    matrix_digest: Annotated[str, typer.Option(help="SHA-256 of that text")] = "",
) -> None:
    """Inside a quantization Job, first: is it there already, is the parent the right one, is there room."""
    from smallmodel_operator.cli.make_weights import Made, prepare
    from smallmodel_operator.cli.texts import Given, Texts

    wish = Made(Path(folder), kind, digest, work)
    measured_on = Given(Path(text), config_map) if text else None
    built_on = Given(Path(matrix_text), matrix_config_map) if matrix_text else None
    raise typer.Exit(prepare(wish, Path(parent), disk, Texts(measured_on, built_on, matrix_digest)))


@jobs.command(hidden=True)
def judge_weights(
    folder: Folder,
    kind: Type,
    digest: Parent,
    work: Work,
    artifact: Annotated[str, typer.Option()],
    mean_divergence: Annotated[str, typer.Option()],
    tail_divergence: Annotated[str, typer.Option()],
    same_top_percent: Annotated[str, typer.Option()],
    perplexity_ratio: Annotated[str, typer.Option()],
    claim: Annotated[str, typer.Option(help="uid of the claim that holds the folder")] = "",
    tools: Annotated[str, typer.Option(help="image of the tools, for the provenance")] = "",
    matrix_config_map: MatrixConfigMap = "",
    parent: Annotated[str, typer.Option(help="what the parent is called, for messages")] = "",
) -> None:
    """Inside a quantization Job, last: hold what was measured against what is allowed."""
    from decimal import Decimal

    from smallmodel_operator.cli.make_weights import Made, MadeBy, judge
    from smallmodel_operator.quantization.gate import Limits

    allowed = (mean_divergence, tail_divergence, same_top_percent, perplexity_ratio)
    wish = Made(Path(folder), kind, digest, work)
    by = MadeBy(tools, matrix_config_map, parent)
    raise typer.Exit(judge(wish, Limits(*map(Decimal, allowed)), artifact, claim, by))


@jobs.command(hidden=True)
def prepare_conversion(
    folder: Folder,
    kind: Type,
    digest: SourceDigest,
    work: Work,
    source: Annotated[str, typer.Option(help="folder of safetensors files")],
    disk: Annotated[int, typer.Option(help="bytes the work takes in the claim")],
) -> None:
    """Inside a conversion Job, first: is it there already, is the folder the right one, is there room."""
    from smallmodel_operator.cli.convert_weights import prepare
    from smallmodel_operator.cli.make_weights import Made

    raise typer.Exit(prepare(Made(Path(folder), kind, digest, work), Path(source), disk))


@jobs.command(hidden=True)
def accept_conversion(
    folder: Folder,
    kind: Type,
    digest: SourceDigest,
    work: Work,
    artifact: Annotated[str, typer.Option()],
    claim: Annotated[str, typer.Option(help="uid of the claim that holds the folder")] = "",
    tools: Annotated[str, typer.Option(help="image of the tools, for the provenance")] = "",
    survey: Annotated[bool, typer.Option("--survey", help="tell of types, too, instead of the file alone")] = False,
    accept: Annotated[list[str] | None, typer.Option(help="types to tell of how they would come out")] = None,
) -> None:
    """Inside a conversion Job, last: read what was made and put it into its place."""
    from smallmodel_operator.cli.convert_weights import accept as accept_made
    from smallmodel_operator.cli.make_weights import Made

    kinds = tuple(accept or ()) if survey else None
    raise typer.Exit(accept_made(Made(Path(folder), kind, digest, work), artifact, claim, tools, kinds))


@jobs.command(hidden=True)
def fetch_weights(
    folder: Annotated[str, typer.Option()],
    artifact: Annotated[str, typer.Option()],
    url: Annotated[str, typer.Option(help="the file's address, or")] = "",
    hub: Annotated[str, typer.Option(help="the endpoint of a hub that holds it")] = "",
    repository: Annotated[str, typer.Option()] = "",
    revision: Annotated[str, typer.Option()] = "",
    file: HubFile = "",
    layout: Layout = GGUF,
    sha256: Annotated[str, typer.Option()] = "",
    frozen: Annotated[bool, typer.Option("--frozen", help="the SHA-256 was found, not given")] = False,
    s3_region: Region = "",
    secret: Secret = "",
    claim: Annotated[str, typer.Option(help="uid of the claim that holds the folder")] = "",
    ca_file: Authorities = "",
    port: Port = 0,
) -> None:
    """Inside a download Job: fetch one file over https, or a hub's folder, and check it."""
    from smallmodel_operator.cli.fetch_weights import Download, answer_and_fetch
    from smallmodel_operator.cli.hub import Repository

    where = Repository(hub, repository, revision, file) if hub else url
    wish = Download(
        where, sha256, folder, artifact, claim, ca_file, secret, s3_region=s3_region, frozen=frozen, layout=layout
    )
    raise typer.Exit(answer_and_fetch(wish, port))


@jobs.command(hidden=True)
def copy_weights(
    folder: Folder,
    artifact: Annotated[str, typer.Option()],
    image: Annotated[str, typer.Option(help="registry/repository@digest")],
    path: Annotated[str, typer.Option()] = "",
    claim: Annotated[str, typer.Option(help="uid of the claim that holds the folder")] = "",
    signed_by: Annotated[str, typer.Option(help="Secret and entry of the key the weights must be signed by")] = "",
    public_key: Annotated[str, typer.Option(help="where that key is mounted")] = "",
    survey: Annotated[bool, typer.Option("--survey", help="tell of all files, instead of describing one")] = False,
    layout: Annotated[str, typer.Option("--format", help="GGUF, or Safetensors: a folder")] = GGUF,
    accept: Annotated[list[str] | None, typer.Option(help="types to tell of how they would come out")] = None,
    ca_file: Authorities = "",
    port: Port = 0,
) -> None:
    """Inside a download Job: copy an image's files into the claim, check them and look at them."""
    from smallmodel_operator.cli.copy_weights import Copy, answer_and_copy

    wish = Copy(image, Path(folder), ca_file)

    def look() -> int:
        return _look(str(wish.files), path, artifact, "", claim, signed_by, public_key, survey, layout, accept)

    raise typer.Exit(answer_and_copy(wish, port, look))


@jobs.command(hidden=True)
def resolve_weights(
    uri: Annotated[str, typer.Option(help="the source as the user named it")],
    folder: Folder = "",
    image: Annotated[str, typer.Option(help="registry/repository:tag, or")] = "",
    url: Annotated[str, typer.Option(help="the file's address, or")] = "",
    hub: Annotated[str, typer.Option(help="the endpoint of a hub that holds it")] = "",
    repository: Annotated[str, typer.Option()] = "",
    revision: Annotated[str, typer.Option(help="a branch or a tag")] = "",
    file: HubFile = "",
    layout: Layout = GGUF,
    sha256: Annotated[str, typer.Option()] = "",
    s3_region: Region = "",
    secret: Secret = "",
    ca_file: Authorities = "",
    port: Port = 0,
) -> None:
    """Inside a download Job: find out what a source that may move holds now."""
    from smallmodel_operator.cli.fetch_weights import Download
    from smallmodel_operator.cli.hub import Repository
    from smallmodel_operator.cli.resolve_weights import answer_and_resolve
    from smallmodel_operator.weights.image import Name, name

    where: str | Repository | Name = url
    if image:
        where = name(image)
    elif hub:
        where = Repository(hub, repository, revision, file)
    wish = Download(where, sha256, folder, "", "", ca_file, secret, s3_region=s3_region, layout=layout)
    raise typer.Exit(answer_and_resolve(wish, uri, port))


@jobs.command(hidden=True)
def inspect_adapters(
    adapter: Annotated[list[str], typer.Option(help="NAME=FILE")],
) -> None:
    """Inside an inspection Job: how much memory LoRA adapters take."""
    from smallmodel_operator.cli.inspect_adapters import inspect

    raise typer.Exit(inspect({name: Path(file) for name, _, file in (one.partition("=") for one in adapter)}))


@jobs.command(hidden=True)
def evict_weights(
    root: Annotated[str, typer.Option()],
    needed: Annotated[int, typer.Option(help="bytes that have to be free")],
    before: Annotated[int, typer.Option(help="what was used since then stays; seconds since 1970")],
    keep: Annotated[list[str] | None, typer.Option(help="folders that stay")] = None,
) -> None:
    """Inside an eviction Job: remove unused weights from the claim until there is room."""
    from smallmodel_operator.cli.evict_weights import evict

    raise typer.Exit(evict(Path(root), frozenset(keep or ()), needed, before))
