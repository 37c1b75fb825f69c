"""``tuner export`` and ``tuner evaluate``: a network taken home, and how good a file is."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from tuner.cli.databases import open_existing
from tuner.cli.present import INTERRUPTED, AsJson, Database, as_text, as_typed
from tuner.compare.words import written
from tuner.errors import Interrupted, InvalidInput
from tuner.search.results.artifacts import attach
from tuner.search.watch import views
from tuner.signals import stop_requests
from tuner.wording import count

if TYPE_CHECKING:
    from tuner.export.evaluating import Evaluation
    from tuner.graphs.card import Card
    from tuner.graphs.graph import Graph
    from tuner.train import EpochReport

_ENDS = (".safetensors", ".onnx")
_MOST_CLASSES = 20
"""A larger table of confusions is for programs."""


def export(
    trial: Annotated[
        str,
        typer.Argument(
            help="the number of a trial; a study, such as digits/filter, whose best is meant; or "
            "a packed file, to be written in another format"
        ),
    ],
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="where to \\[trial-NUMBER and an ending]")
    ] = None,
    form: Annotated[
        str, typer.Option("--as", metavar="FORMAT", help="packed, onnx or qonnx")
    ] = "packed",
    thresholds: Annotated[
        bool,
        typer.Option("--thresholds", help="batch norm and sign as whole numbers, where possible"),
    ] = False,
    float32: Annotated[
        bool,
        typer.Option("--float32", help="leave out the roundings of a training in bfloat16"),
    ] = False,
    hang: Annotated[
        bool,
        typer.Option("--attach", help="hang the file on the trial too: page, REST and dashboard"),
    ] = False,
    device: Annotated[str, typer.Option(help="a torch device to train again on")] = "cpu",
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Train a trial's network again and write it into a file: bits, ONNX or QONNX.

    A trial's weights are not kept, but all that decided them is: the same training gives them
    again. Ctrl-C keeps it, and the same command goes on. A packed file is turned into the other
    formats without training. A network that was trained in bfloat16 rounds to it in the file too;
    --float32 leaves that out, and classifies some samples otherwise.

    For example:

    tuner export digits/filter --to digits.safetensors

    tuner export digits.safetensors --as onnx --thresholds
    """
    from tuner.export.formats.writing import ending, write_graph
    from tuner.export.thresholds import with_thresholds
    from tuner.graphs.card import card_of
    from tuner.graphs.files import check_place
    from tuner.graphs.packed import read_packed

    end, console = ending(form), Console(stderr=as_json)
    if trial.endswith(".onnx"):
        raise InvalidInput(f"export: {trial} is ONNX; only {ending('packed')} files become others")
    if to is not None and to.suffix in _ENDS and not end.endswith(to.suffix):
        raise InvalidInput(f"export: {to} is to be {form}; name it {to.stem}{end}, or change --as")
    if trial.endswith(ending("packed")):
        source = Path(trial)
        place = to or Path(source.name.removesuffix(ending("packed")) + end)
        if place.absolute() == source.absolute():
            raise InvalidInput(f"export: {place} would be written over itself; name another: --to")
        check_place(place)
        graph, card = read_packed(source)
        made = set(card_of(graph, {}))
        about: Card = {name: part for name, part in card.items() if name not in made}
    else:
        place, graph, about = _trained(trial, to, end, device, database, console)
    graph = replace(graph, precision="float32") if float32 else graph
    if thresholds:
        graph = with_thresholds(graph)
    card = write_graph(place, form, graph, about)
    if hang:
        _attach(place, card, database)
    if as_json:
        typer.echo(as_text({"file": str(place), "format": form, "card": card}))
        return
    for line in _lines(place, graph, card):
        console.print(line, highlight=False, soft_wrap=True)


def _attach(place: Path, card: "Card", database: str | None) -> None:
    """Hang the file on the trial that its card names.

    Raises:
        InvalidInput: If the trial of that number in the database is another one.
        NotFound: If there is none.
    """
    known = card.get("trial")
    if known is None:
        raise InvalidInput(f"--attach: {place} is of no trial; leave it out")
    store = open_existing(database)
    try:
        row, _ = views.get_trial(store, known["number"])
        if (row.study_name, row.position) != (known["study"], known["position"]):
            raise InvalidInput(
                f"--attach: {place} is of trial {known['position']} of {known['study']}, and "
                f"trial {row.trial_id} of this database is another; name its own: --database"
            )
        attach(store, row.study_name, row.trial_id, place)
    finally:
        store.close()


def _trained(
    trial: str, to: Path | None, end: str, device: str, database: str | None, console: Console
) -> "tuple[Path, Graph, Card]":
    """Where to write, and the trial's network, trained again."""
    from tuner.export.trial import network_of, number_of
    from tuner.graphs.files import check_place, library

    library("safetensors")  # before minutes of training

    def show(report: "EpochReport") -> None:
        console.print(f"training again: epoch {report.epoch}", style="dim", highlight=False)

    store = open_existing(database)
    try:
        number = number_of(store, trial)
        place = to or Path(f"trial-{number}{end}")
        check_place(place)
        with stop_requests() as stopping:
            found = network_of(store, number, show, device=device, stopping=stopping)
    except Interrupted as error:
        typer.echo(as_typed(f"{error}; the same command goes on from there"), err=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        store.close()
    return place, found.graph, found.about


def _lines(place: Path, graph: "Graph", card: "Card") -> list[str]:
    """What was written, in sentences."""
    folded = sum(step.kind == "threshold" for step in graph.steps)
    weights = f"{count(graph.n_binary, 'binary weight')}, {count(graph.n_real, 'other number')}"
    lines = [f"{place}: {weights}, {place.stat().st_size:,} bytes"]
    if folded:
        lines.append(f"{count(folded, 'batch norm')} and the signs behind are whole numbers now")
    accuracy = card.get("accuracy")
    if accuracy is None:
        return lines
    unit, trained_in = accuracy["metric"], card["trained"]["precision"]
    lines.append(
        f"in {trained_in}, as trained: validation {written(accuracy['validation'], unit)}, test "
        f"{written(accuracy['test'], unit)}"
    )
    if graph.precision != trained_in and "test_float32" in accuracy:
        lines.append(
            f"in float32, as exported: test {written(accuracy['test_float32'], unit)}; "
            f"{accuracy['others_in_float32']:,} of {accuracy['test_samples']:,} predictions are "
            "others"
        )
    if not card["trained"]["as_recorded"]:
        lines.append(
            f"not the trial's own weights: trained here it validates at "
            f"{written(accuracy['validation'], unit)}, recorded is "
            f"{written(accuracy['validation_recorded'], unit)} (another machine or version rounds "
            "otherwise)"
        )
    return lines


def evaluate(
    file: Annotated[Path, typer.Argument(help="an exported network")],
    data: Annotated[
        str | None,
        typer.Argument(
            help="a data set, whose test split is taken; a folder of images; or an .npz file with "
            "inputs and labels \\[the test split of the trial's data]"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how often an exported network is right, and what it takes for what.

    Packed files are run by torch, ONNX by onnxruntime, QONNX by qonnx.

    For example:

    tuner evaluate digits.safetensors

    tuner evaluate digits.onnx digits --json
    """
    from tuner.export.evaluating import evaluate as evaluated

    found = evaluated(file, data)
    if as_json:
        answer = {
            "accuracy": found.accuracy,
            "samples": len(found.labels),
            "confusion": found.confusion.tolist(),
            "software": found.software,
        }
        typer.echo(as_text(answer))
        return
    console = Console()
    right = int((found.predicted == found.labels).sum())
    console.print(
        f"{written(found.accuracy, 'accuracy')} of {count(len(found.labels), 'sample')} are right "
        f"({right:,}), run by {found.software}",
        highlight=False,
    )
    if found.n_classes <= _MOST_CLASSES:
        console.print(_confusion(found))


def _confusion(found: "Evaluation") -> Table:
    table = Table(title="class (rows) taken for class (columns)", title_justify="left", box=None)
    table.add_column("", justify="right")
    for number in range(found.n_classes):
        table.add_column(str(number), justify="right")
    for number, row in enumerate(found.confusion.tolist()):
        table.add_row(str(number), *(str(each) if each else "·" for each in row))
    return table
