"""Runs of Weights & Biases: the runs table as CSV, and what ``wandb.Api().runs`` gives as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from optuna.trial import TrialState

from tuner.errors import InvalidInput
from tuner.search.foreign.exports.cells import (
    Setting,
    is_empty,
    moment_in,
    number_in,
    setting_in,
)
from tuner.search.foreign.exports.csv_lines import csv_lines, titles_of
from tuner.search.foreign.exports.json_rows import first_object, json_table
from tuner.search.foreign.exports.literals import object_in
from tuner.search.foreign.exports.packed import unpacked
from tuner.search.foreign.exports.runs import Run, Source, study_of_runs
from tuner.search.foreign.exports.split import Columns, is_count, split
from tuner.search.foreign.exports.tables import Row, Table, flat, table_of_lines
from tuner.search.foreign.record import StudyRecord

_STATES = {
    "finished": TrialState.COMPLETE,
    "failed": TrialState.FAIL,
    "crashed": TrialState.FAIL,
    "killed": TrialState.FAIL,
    "preempted": TrialState.FAIL,
    "stopped": TrialState.PRUNED,
    "running": TrialState.RUNNING,
    "preempting": TrialState.RUNNING,
    "pending": TrialState.WAITING,
}
_OF_THE_RUN = frozenset(
    "|Name|ID|Agent|State|Notes|User|Tags|Created|Updated|Runtime|Duration|Sweep|Group|Job Type|"
    "Host|Hostname|Host Name|Commit|Git Commit|Github|Command|Path|OS|Python Version|CPU Count|"
    "GPU Count|GPU Type|GPU Name|Start Time|End Time|Heartbeat|Description|Project|Entity|Report|"
    "Url|URL|run_id|run_name|run|id|name|state|sweep|created_at|runtime|index".split("|")
)
"""Columns of what W&B itself says about a run."""
_LOGGED = {"_runtime", "_step", "_timestamp"}
_NESTED = ("config", "json_config", "summary", "summary_metrics", "summaryMetrics")


def recognises(path: Path) -> bool:
    """Whether a file is a table of W&B's runs."""
    titles = titles_of(path) or tuple(first_object(path))
    known = set(titles)
    of_the_page = titles[:1] == ("Name",) and (len(_OF_THE_RUN & known) > 1 or _quotes(path))
    framed = "state" in known and bool({"run_name", "run_id", "name", "id"} & known)
    nested = {"config", "summary"} <= {_plain(title) for title in titles}
    return of_the_page or nested or framed or len(_LOGGED & known) > 1


def _quotes(path: Path) -> bool:
    """Whether the first cell is quoted, as the page quotes all."""
    return unpacked(path, 16).removeprefix(b"\xef\xbb\xbf").startswith(b'"')


@contextmanager
def studies_in(path: Path) -> Iterator[Mapping[str, StudyRecord]]:
    """The studies in a table of runs: one for each sweep if there are several.

    Runs of no sweep, where others are of one, are a study that is called as the file is.

    Raises:
        InvalidInput: If a cell holds what it may not, or no column is known as a result.
    """
    if first_object(path):
        table = json_table(path)
    else:
        lines = csv_lines(path)
        table = table_of_lines(path, lines[0].cells, lines[1:])
    nested = any(title in _NESTED for title in table.titles)
    pairs = _of_objects(table) if nested else _of_columns(table)
    yield _studies(table, *pairs)


def _studies(table: Table, runs: Sequence[Run], notes: tuple[str, ...]) -> dict[str, StudyRecord]:
    source = Source(str(table.path), notes=(*table.notes, *notes))
    name = table.path.name.partition(".")[0] or table.path.name
    sweeps = [_sweep(row) or name for row in table.rows]
    if len(set(sweeps)) < 2:
        return {name: study_of_runs(name, runs, source)}
    return {
        sweep: study_of_runs(
            sweep, [run for run, its in zip(runs, sweeps, strict=True) if its == sweep], source
        )
        for sweep in dict.fromkeys(sweeps)
    }


def _of_columns(table: Table) -> tuple[list[Run], tuple[str, ...]]:
    """The runs of the page's table, and how its results were told from its settings."""
    columns = [
        column
        for column, title in zip(table.columns, table.titles, strict=True)
        if title not in _OF_THE_RUN
    ]
    logged = [column for column in columns if column.startswith(("_", "Unnamed: "))]
    others = [column for column in columns if column not in logged]
    parts = split(others, table.numeric)
    metrics = [each for each in parts.results if table.numeric(each) and not is_count(each)]
    if not metrics:
        raise InvalidInput(
            f"table {table.path}: none of its columns is known as a result; show the metric's "
            "column on the page of the runs and export them again, or write metric/ before its "
            "name in the first line"
        )
    runs = [_run(table, row, _settings(row, parts), _results(row, metrics)) for row in table.rows]
    return runs, (
        f"{table.path}: which columns are settings and which are results does not stand in it; "
        f"taken as results: {_listed(metrics)}",
        *table.unread_moments("Created"),
    )


def _settings(row: Row, parts: Columns) -> dict[str, Setting]:
    return {each: setting_in(row.cells[each]) for each in parts.settings if each in row.cells}


def _results(row: Row, metrics: Sequence[str]) -> dict[str, float]:
    found = {each: number_in(row.cells.get(each)) for each in metrics}
    return {each: number for each, number in found.items() if number is not None}


def _of_objects(table: Table) -> tuple[list[Run], tuple[str, ...]]:
    """The runs whose settings and results are objects of their own."""
    runs = []
    for row in table.rows:
        fields = {_plain(name): cell for name, cell in row.cells.items()}
        config = _object(table, row, fields, "config")
        summary = _object(table, row, fields, "summary")
        settings = {
            name: setting_in(value)
            for name, value in flat(_without_descriptions(config), ".")
            if not name.startswith("_") and value != {}
        }
        numbers = {
            name: number_in(value)
            for name, value in flat(summary, ".")
            if not name.startswith("_") and not is_count(name)
        }
        results = {name: number for name, number in numbers.items() if number is not None}
        runs.append(_run(table, row, settings, results))
    return runs, ()


def _object(
    table: Table, row: Row, fields: Mapping[str, object], name: str
) -> Mapping[str, object]:
    cell = fields.get(name)
    found = {} if is_empty(cell) else object_in(cell)
    if found is None:
        raise table.problem(
            row, name, "must be an object, as json.dumps writes it; export it so with json.dumps"
        )
    return found


def _without_descriptions(config: Mapping[str, object]) -> dict[str, object]:
    """Settings as W&B keeps them stand under ``value``, beside ``desc``."""
    return {
        name: cell["value"]
        if isinstance(cell, Mapping) and "value" in cell and set(cell) <= {"value", "desc"}
        else cell
        for name, cell in config.items()
    }


def _run(
    table: Table, row: Row, params: Mapping[str, Setting], results: Mapping[str, float]
) -> Run:
    start = moment_in(_first(row, "Created", "created_at", "createdAt", "Start Time"))
    seconds = number_in(_first(row, "Runtime", "runtime", "Duration"))
    return Run(
        state=_state(table, row, results),
        params=params,
        results=results,
        start=start,
        complete=start + timedelta(seconds=seconds) if start and seconds else None,
    )


def _state(table: Table, row: Row, results: Mapping[str, float]) -> TrialState:
    """The state that is written; where the table has none, what the results tell."""
    written = str(_first(row, "State", "state") or "").strip()
    if not written:
        return TrialState.COMPLETE if results else TrialState.FAIL
    state = _STATES.get(written.lower())
    if state is None:
        raise table.problem(
            row, "State", f"must be one of {', '.join(_STATES)}, got {written!r}; correct it"
        )
    return state


def _sweep(row: Row) -> str:
    sweep = _first(row, "Sweep", "sweep", "sweep_id", "sweepName")
    if isinstance(sweep, Mapping):
        sweep = sweep.get("id") or sweep.get("name")
    return "" if sweep is None else str(sweep).strip().strip("-")


def _first(row: Row, *columns: str) -> object:
    return next((row.cells[column] for column in columns if column in row.cells), None)


def _plain(title: str) -> str:
    """``config`` for ``json_config``, ``summary`` for ``summaryMetrics``."""
    return "summary" if title.startswith("summary") else title.removeprefix("json_")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
