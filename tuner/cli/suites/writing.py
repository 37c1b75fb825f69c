"""How ``tuner suite`` ends: its comparisons are read and answered as one, results written."""

import sys
from contextlib import closing
from pathlib import Path

from tuner.cli.present import Outputs, as_text, provenance
from tuner.cli.stages import Stages
from tuner.compare.figures.suite.registry import SUITE_FIGURES, saved
from tuner.compare.report.suite.data import suite_to_json
from tuner.compare.report.suite.html import suite_to_html
from tuner.compare.report.suite.terminal import print_suite
from tuner.compare.suite.outcome import Suite
from tuner.search.database.finished import uncollected
from tuner.search.database.store import open_store
from tuner.search.declared.suite_spec import SuiteSpec
from tuner.search.results.suites import collected

_KINDS = ("png", "svg")


def answer(spec: SuiteSpec, database: str, outputs: Outputs) -> None:
    """Print what the suite says, as far as it was run, and write the files asked for.

    Raises:
        InvalidInput: If nothing of it was run.
    """
    with Stages(outputs.console) as stage, uncollected():
        stage("comparing the arms on each workload")
        with closing(open_store(database, must_exist=True)) as store:
            suite = collected(store, spec)
    console = outputs.console
    print_suite(suite, console)
    if outputs.json == "-":
        sys.stdout.write(as_text(suite_to_json(suite)))
    for file, content in _files(suite, outputs).items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    for place in (*_asked(outputs), outputs.folder):
        if place is not None:
            console.print(f"written: {place}", soft_wrap=True)


def _asked(outputs: Outputs) -> list[Path]:
    json = None if outputs.json in (None, "-") else Path(str(outputs.json))
    return [file for file in (json, outputs.html, outputs.picture) if file is not None]


def _files(suite: Suite, outputs: Outputs) -> dict[Path, bytes]:
    """All that is asked for, made before any of it is written."""
    page, data = suite_to_html(suite, provenance()), as_text(suite_to_json(suite))
    files: dict[Path, bytes] = {}
    if outputs.json not in (None, "-"):
        files[Path(str(outputs.json))] = data.encode()
    if outputs.html is not None:
        files[outputs.html] = page.encode()
    if outputs.picture is not None:
        first, kind = next(iter(SUITE_FIGURES)), outputs.picture.suffix.removeprefix(".")
        files[outputs.picture] = saved(first, suite, kind)
    if outputs.folder is not None:
        files[outputs.folder / "suite.html"] = page.encode()
        files[outputs.folder / "suite.json"] = data.encode()
        for name in SUITE_FIGURES:
            for kind in _KINDS:
                files[outputs.folder / f"{name}.{kind}"] = saved(name, suite, kind)
    return files
