"""How ``tuner compare`` and ``tuner run`` end: trials are read and compared, results written.

It imports all that computes and draws, which takes two seconds: the commands import it late.
"""

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tuner.cli.present import Outputs, as_text, provenance
from tuner.cli.stages import Stages
from tuner.compare import Comparison, Protocol
from tuner.compare.comparison import judged
from tuner.compare.figures.gallery import FIGURES, main_picture, pictures
from tuner.compare.report.data import to_json
from tuner.compare.report.html import to_html
from tuner.compare.report.sheets import sheets
from tuner.compare.report.terminal import print_table
from tuner.search.database.finished import uncollected
from tuner.search.database.store import open_store
from tuner.search.foreign.arm import Reading
from tuner.search.foreign.compare import judged_studies
from tuner.search.results.arms import arms as read_arms
from tuner.search.results.arms import arms_in_full

_KINDS = ("png", "svg")
_COMPARING = "report: comparing the arms"


def declared(name: str, database: str, outputs: Outputs) -> Comparison:
    """A comparison of the database, as far as it was run; with importances if a report wants them.

    They take seconds for each arm, so it is said whose are being computed. The store is gone
    before the arms are compared: it keeps every trial that it has read.
    """
    with Stages(outputs.console) as stage, uncollected():
        with closing(open_store(database, must_exist=True)) as store:
            read = (
                arms_in_full(store, name, on_arm=lambda arm: stage(_importance(arm)))
                if outputs.in_full
                else read_arms(store, name)
            )
        del store
        if outputs.in_full:
            stage(_COMPARING)
        return judged(*read)


def foreign(
    studies: list[str],
    protocol: Protocol,
    reading: Reading,
    names: Sequence[str],
    outputs: Outputs,
) -> Comparison:
    """Any studies as arms; it is said whose importances are being computed."""
    with Stages(outputs.console) as stage, uncollected():
        stage("reading the studies")
        return judged_studies(
            studies,
            protocol,
            reading=reading,
            names=names,
            with_importances=outputs.in_full,
            on_arm=lambda arm: stage(_importance(arm)),
        )


def _importance(arm: str) -> str:
    return f"report: importance of the hyperparameters of {arm}"


def write(comparison: Comparison, outputs: Outputs) -> None:
    """Print the comparison and write the files asked for."""
    console = outputs.console
    print_table(comparison, console)
    written: list[Path] = []
    if outputs.json == "-":
        sys.stdout.write(as_text(to_json(comparison)))
    with console.status("report: drawing and writing"), uncollected():
        if outputs.json not in (None, "-"):
            written.append(Path(str(outputs.json)))
            written[-1].write_text(as_text(to_json(comparison)), encoding="utf-8")
        if outputs.html is not None:
            written.append(outputs.html)
            outputs.html.write_text(to_html(comparison, provenance()), encoding="utf-8")
        if outputs.picture is not None:
            written.append(outputs.picture)
            kind = outputs.picture.suffix.removeprefix(".")
            outputs.picture.write_bytes(main_picture(comparison).saved(kind))
        if outputs.folder is not None:
            _write_all(comparison, outputs.folder)
            written.append(outputs.folder)
    for file in written:
        console.print(f"written: {file}", soft_wrap=True)


def _write_all(comparison: Comparison, folder: Path) -> None:
    """Report, data, sheets and figures; figures of an earlier report that this one lacks go.

    Nothing is written or removed before everything is made.
    """
    texts = {
        "report.html": to_html(comparison, provenance()),
        "report.json": as_text(to_json(comparison)),
        **{f"{name}.csv": text for name, text in sheets(comparison).items()},
    }
    files = {name: text.encode() for name, text in texts.items()}
    for picture in pictures(comparison):
        for kind in _KINDS:
            files[f"{picture.name}.{kind}"] = picture.saved(kind)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    for old in (folder / f"{name}.{kind}" for name in FIGURES for kind in _KINDS):
        if old.name not in files and old.is_file():
            old.unlink()
