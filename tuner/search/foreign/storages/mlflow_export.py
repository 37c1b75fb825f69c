"""Runs of MLflow: a folder ``mlruns``, or a CSV of ``search_runs`` or of its pages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from tuner.errors import InvalidInput
from tuner.search.foreign.exports.cells import Setting, moment_in, number_in, setting_in
from tuner.search.foreign.exports.csv_lines import csv_lines, titles_of
from tuner.search.foreign.exports.packed import text_in
from tuner.search.foreign.exports.runs import Source
from tuner.search.foreign.exports.split import split
from tuner.search.foreign.exports.tables import Row, Table, table_of_lines
from tuner.search.foreign.exports.tracked import TrackedRun, milliseconds, studies_of
from tuner.search.foreign.record import StudyRecord
from tuner.wording import count

_META = "meta.yaml"
_SEARCHED = {"run_id", "status"}
_UNMARKED = _SEARCHED | {"experiment_id"}
"""Of a search whose columns somebody renamed, so that no name says what they are."""
_OF_THE_PAGE = {"Run ID", "Status"}
_OF_THE_RUN = _OF_THE_PAGE | {
    *("run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"),
    *("", "Start Time", "Duration", "Name", "Run Name", "Source Type", "Source Name", "User"),
    *("Created", "Dataset", "Source", "Version", "Models", "Experiment ID"),
}


def recognises(path: Path) -> bool:
    """Whether a path is a folder of MLflow's, or a table of its runs."""
    if path.is_dir():
        return bool(_experiments(path)) or _is_run(path)
    titles = set(titles_of(path))
    searched = titles >= _SEARCHED and _is_marked(titles)
    return titles >= _OF_THE_PAGE or titles >= _UNMARKED or searched


@contextmanager
def studies_in(path: Path) -> Iterator[Mapping[str, StudyRecord]]:
    """The studies in a folder or a table of MLflow's: one for each experiment, by its name.

    A table of ``search_runs`` has only the experiment's number, that of a page not even it: then
    the study is called as the file is.

    Raises:
        InvalidInput: If a file or a cell holds what it may not.
    """
    runs, notes = _of_folder(path) if path.is_dir() else _of_table(path)
    yield studies_of(runs, Source(str(path), notes=notes))


def _is_marked(titles: Iterable[str]) -> bool:
    return any(title.startswith(("metrics.", "params.")) for title in titles)


def _is_run(folder: Path) -> bool:
    return (folder / _META).is_file() and (folder / "metrics").is_dir()


def _experiments(path: Path) -> list[Path]:
    """The folders of experiments: those within a folder, or the folder itself."""
    if any(_is_run(run) for run in path.iterdir() if run.is_dir()):
        return [path]
    return [
        folder
        for folder in sorted(path.iterdir())
        if folder.is_dir() and ((folder / _META).is_file() or any(map(_is_run, folder.iterdir())))
    ]


def _of_folder(path: Path) -> tuple[list[TrackedRun], tuple[str, ...]]:
    if _is_run(path):
        return [_run_in(path, path.parent.name)], ()
    runs: list[TrackedRun] = []
    torn: list[str] = []
    cut: list[str] = []
    for folder in _experiments(path):
        meta = _meta(folder) if (folder / _META).is_file() else {}
        name = str(meta.get("name") or folder.name)
        for run in sorted(folder.iterdir()):
            if not run.is_dir() or not (run / _META).is_file():
                continue
            if _is_empty(run / _META):
                torn.append(run.name)
            elif _meta(run).get("lifecycle_stage", "active") == "active":
                runs.append(_run_in(run, name))
                cut += [str(file) for file in _files(run / "metrics").values() if _is_cut(file)]
    return runs, (*_torn_note(path, torn), *_cut_note(path, cut))


def _torn_note(path: Path, torn: Sequence[str]) -> tuple[str, ...]:
    if not torn:
        return ()
    like = f"left out, such as {torn[0]}"
    runs = count(len(torn), f"run is {like}: its", f"runs are {like}: their")
    return (f"{path}: {runs} {_META} is empty",)


def _cut_note(path: Path, cut: Sequence[str]) -> tuple[str, ...]:
    if not cut:
        return ()
    return (
        f"{path}: the last lines of {len(cut)} metrics are cut off and left out, such as that of "
        f"{cut[0]}",
    )


def _is_cut(file: Path) -> bool:
    content = file.read_bytes()
    return bool(content) and not content.endswith(b"\n")


def _is_empty(path: Path) -> bool:
    return not path.read_bytes().strip()


def _run_in(folder: Path, experiment: str) -> TrackedRun:
    meta = _meta(folder)
    history = {name: _steps(file) for name, file in _files(folder / "metrics").items()}
    return TrackedRun(
        run_id=folder.name,
        experiment=experiment,
        status=str(meta.get("status")),
        params={
            name: setting_in(text_in(file)) for name, file in _files(folder / "params").items()
        },
        metrics={name: steps[max(steps)] for name, steps in history.items() if steps},
        history=history,
        tags={name: text_in(file) for name, file in _files(folder / "tags").items()},
        start=milliseconds(number_in(meta.get("start_time"))),
        end=milliseconds(number_in(meta.get("end_time"))),
    )


def _meta(folder: Path) -> Mapping[str, object]:
    path = folder / _META
    try:
        found = yaml.safe_load(text_in(path))
    except yaml.YAMLError as error:
        words = " ".join(str(error).split())
        raise InvalidInput(f"file {path}: is no YAML ({words}); copy it afresh") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"file {path}: must hold keys and values; copy it afresh")
    return found


def _files(folder: Path) -> dict[str, Path]:
    """Name of each file -> the file; a name with a slash in it is a folder and a file."""
    return {
        file.relative_to(folder).as_posix(): file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.name.startswith(".")
    }


def _steps(file: Path) -> dict[int, float]:
    """Step -> its last value. A line is: milliseconds, value and, since MLflow 1.0, the step.

    What a writer that died left of its last line is left out.
    """
    steps: dict[int, float] = {}
    whole = text_in(file).rpartition("\n")[0]
    for position, line in enumerate(whole.splitlines()):
        parts = line.split()
        value = number_in(parts[1]) if len(parts) >= 2 else None
        step = number_in(parts[2]) if len(parts) >= 3 else float(position)
        if value is None or step is None or not step.is_integer():
            raise InvalidInput(
                f"file {file}: line {position + 1}: must be a time, a value and a step, got "
                f"{line!r}; correct it or remove it"
            )
        steps[int(step)] = value
    return steps


def _of_table(path: Path) -> tuple[list[TrackedRun], tuple[str, ...]]:
    lines = csv_lines(path)
    table = table_of_lines(path, lines[0].cells, lines[1:])
    if not _is_marked(table.titles):
        return _of_page(table)
    names = _experiment_names(table)
    runs = [_searched(table, row, name) for row, name in zip(table.rows, names, strict=True)]
    return runs, (*table.notes, *table.unread_moments("start_time", "end_time"))


def _searched(table: Table, row: Row, experiment: str) -> TrackedRun:
    """A row of ``search_runs``, whose columns say in their names what they are."""
    metrics = {}
    for column, cell in row.cells.items():
        if column.startswith("metrics."):
            number = number_in(cell)
            if number is None:
                raise table.problem(
                    row, column, f"must be a number, got {cell!r}; correct it or leave it empty"
                )
            metrics[column.removeprefix("metrics.")] = number
    return TrackedRun(
        run_id=str(row.cells.get("run_id", f"in {row.place}")),
        experiment=experiment,
        status=str(row.cells.get("status", "")),
        params={
            column.removeprefix("params."): setting_in(cell)
            for column, cell in row.cells.items()
            if column.startswith("params.")
        },
        metrics=metrics,
        tags={
            column.removeprefix("tags."): str(cell)
            for column, cell in row.cells.items()
            if column.startswith("tags.")
        },
        start=moment_in(row.cells.get("start_time")),
        end=moment_in(row.cells.get("end_time")),
    )


def _experiment_names(table: Table) -> list[str]:
    """The experiment of each row as the table has it; the file's name, if there is but one."""
    names = [str(row.cells.get("experiment_id", "")) for row in table.rows]
    if len(set(names)) == 1:
        return [_name(table.path)] * len(names)
    return names


def _name(path: Path) -> str:
    return path.name.partition(".")[0] or path.name


def _of_page(table: Table) -> tuple[list[TrackedRun], tuple[str, ...]]:
    """The runs of a page's table, in which only the order tells parameters from metrics."""
    columns = [
        column
        for column in table.columns
        if column not in _OF_THE_RUN and not column.startswith("mlflow.")
    ]
    parts = split(columns, table.numeric)
    metrics = [column for column in parts.results if table.numeric(column)]
    if not metrics:
        raise InvalidInput(
            f"table {table.path}: none of its columns is known as a metric; export the runs with "
            "mlflow.search_runs().to_csv(), whose columns say what they are"
        )
    runs = [
        TrackedRun(
            run_id=str(_first(row, "Run ID", "run_id") or f"in {row.place}"),
            experiment=_name(table.path),
            status=str(_first(row, "Status", "status") or ""),
            params=_settings(row, parts.settings),
            metrics=_numbers(row, metrics),
            start=moment_in(_first(row, "Start Time", "start_time")),
            end=moment_in(row.cells.get("end_time")),
        )
        for row in table.rows
    ]
    return runs, (
        *table.notes,
        f"{table.path}: which columns are parameters and which are metrics does not stand in it; "
        f"taken as metrics: {', '.join(metrics[:5])}{', ...' if len(metrics) > 5 else ''}",
        *table.unread_moments("Start Time", "start_time"),
    )


def _first(row: Row, *columns: str) -> object:
    return next((row.cells[column] for column in columns if column in row.cells), None)


def _settings(row: Row, columns: Sequence[str]) -> dict[str, Setting]:
    return {each: setting_in(row.cells[each]) for each in columns if each in row.cells}


def _numbers(row: Row, columns: Sequence[str]) -> dict[str, float]:
    found = {each: number_in(row.cells.get(each)) for each in columns}
    return {each: number for each, number in found.items() if number is not None}
