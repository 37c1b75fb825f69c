"""Tables of an Optuna study's trials: of ``trials_dataframe``, of its dashboard, or JSON."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from optuna.trial import TrialState

from tuner.errors import InvalidInput
from tuner.search.foreign.exports.cells import is_empty, moment_in, number_in, setting_in
from tuner.search.foreign.exports.csv_lines import csv_lines, titles_of
from tuner.search.foreign.exports.json_rows import first_object, json_table
from tuner.search.foreign.exports.literals import literal_in, object_in
from tuner.search.foreign.exports.runs import Run, Source, study_of_runs
from tuner.search.foreign.exports.tables import (
    Line,
    Row,
    Table,
    columns_where,
    table_of_lines,
)
from tuner.search.foreign.record import StudyRecord

_VALUE = re.compile(r"values?(?:_(.+))?|(?:Value|Objective (\d+))")
_PARAMETER = ("params_", "Param ")
_GROUP = re.compile(r"(params|values|user_attrs|system_attrs|intermediate_values)(?:\.\d+)?")
"""A title of two header rows; pandas adds a number where it read it as if of one."""
_STEP = re.compile(r"intermediate_values_(\d+)")
_BLANK = re.compile(r"|Unnamed: \d+(?:_level_\d+)?")
_NUMBERS = ("number", "Number", "trial_id", "_number")
_STATES = ("state", "State")
_KNOWN = (*_NUMBERS, *_STATES)
_NESTED = ("params", "values", "intermediate_values", "system_attrs")
_SYSTEM = "system_attrs_"
_CONSTRAINTS = "system_attrs_constraints"
_OTHERS = re.compile(
    r"|index|datetime_.*|duration|(?:user_attrs|system_attrs|distributions|intermediate_values).*"
)
_UNNAMED = re.compile(r"\d+")


def recognises(path: Path) -> bool:
    """Whether a file is a table of trials."""
    return _is_header(titles_of(path)) or _is_header(tuple(_flat(first_object(path))))


@contextmanager
def studies_in(path: Path) -> Iterator[Mapping[str, StudyRecord]]:
    """The study in a table of its trials; it is called as the file is.

    Raises:
        InvalidInput: If a cell holds what it may not.
    """
    table = _flattened(json_table(path)) if first_object(path) else _csv(path)
    name = path.name.partition(".")[0] or path.name
    yield {name: _study(name, table)}


def _is_header(titles: Sequence[str]) -> bool:
    dashboard = tuple(titles[:2]) == ("Number", "State")
    values = any(_VALUE.fullmatch(title) for title in titles)
    others = any(title.startswith(_PARAMETER) or title in _KNOWN for title in titles)
    nested = "params" in titles and any(title in titles for title in ("value", "values"))
    return dashboard or nested or (values and others)


def _csv(path: Path) -> Table:
    lines = csv_lines(path)
    titles = tuple("" if _BLANK.fullmatch(title) else title for title in lines[0].cells)
    if "params" in titles and len(lines) > 1 and not _prints_objects(titles, lines[1]):
        titles, lines = _joined(titles, lines[1]), lines[1:]
        if len(lines) > 1 and not any(lines[1].cells[1:]):
            lines = lines[1:]
    table = table_of_lines(path, titles, lines[1:])
    return _flattened(table) if "params" in titles else table


def _prints_objects(titles: tuple[str, ...], line: Line) -> bool:
    """Whether the parameters of a trial stand in one cell, as Python prints a dictionary."""
    pairs = zip(titles, line.cells, strict=False)
    return any(title == "params" and cell.startswith("{") for title, cell in pairs)


def _joined(titles: tuple[str, ...], second: Line) -> tuple[str, ...]:
    """The titles of two header rows, as old versions of Optuna wrote them, in one."""
    below = ["" if _BLANK.fullmatch(title) else title for title in second.cells]
    groups = [_GROUP.sub(r"\1", title) for title in titles]
    return tuple("_".join(filter(None, pair)) for pair in zip(groups, below, strict=False))


def _flattened(table: Table) -> Table:
    """The table with a column for each parameter."""
    rows = tuple(Row(row.place, _flat(row.cells)) for row in table.rows)
    titles = tuple(dict.fromkeys(column for row in rows for column in row.cells))
    return Table(table.path, titles, rows, table.notes)


def _flat(fields: Mapping[str, object]) -> dict[str, object]:
    """A trial's fields with the names that they have in a table."""
    cells: dict[str, object] = {}
    for name, field in fields.items():
        inside = object_in(field) if name in _NESTED else None
        if inside is not None:
            cells |= {f"{name}_{inner}": value for inner, value in inside.items()}
        elif name == "values" and isinstance(field, list):
            cells |= {f"{name}_{number}": value for number, value in enumerate(field)}
        elif field is not None:
            cells[name] = field
    return cells


def _study(name: str, table: Table) -> StudyRecord:
    values = _value_columns(table)
    if not values:
        raise InvalidInput(
            f"table {table.path}: has no column value or values_...; export it with "
            "study.trials_dataframe(), whose columns have it"
        )
    results = {metric: table.numbers(column) for metric, column in values.items()}
    params = _parameter_columns(table)
    runs = [
        _run(table, row, params, {metric: each[index] for metric, each in results.items()})
        for index, row in enumerate(table.rows)
    ]
    _check_numbers(table, runs)
    source = Source(
        where=str(table.path),
        objectives=tuple(values),
        notes=(*table.notes, *table.unread_moments("datetime_start", "datetime_complete")),
    )
    record = study_of_runs(name, runs, source)
    unnamed = all(_UNNAMED.fullmatch(metric) for metric in values)
    return replace(record, objectives=()) if unnamed else record


def _value_columns(table: Table) -> dict[str, str]:
    """Name of each objective, or its number, -> its column."""
    if tuple(table.columns[:2]) == ("Number", "State"):
        ends = (i for i, each in enumerate(table.columns) if each.startswith(("Param ", "User")))
        between = table.columns[2 : next(ends, len(table.columns))]
        return {_metric(column): column for column in between}
    return {_metric(column): column for column in columns_where(table, _is_value)}


def _parameter_columns(table: Table) -> dict[str, str]:
    """Name of each parameter -> its column; all that is nothing else where none is marked."""
    marked = columns_where(table, lambda column: column.startswith(_PARAMETER))
    if marked:
        return {each.removeprefix("params_").removeprefix("Param "): each for each in marked}
    known = {*_KNOWN, *_value_columns(table).values()}
    return {each: each for each in table.columns if each not in known and not _other(each)}


def _other(column: str) -> bool:
    return _OTHERS.fullmatch(column) is not None or column.startswith("UserAttribute ")


def _is_value(column: str) -> bool:
    return _VALUE.fullmatch(column) is not None


def _metric(column: str) -> str:
    match = _VALUE.fullmatch(column)
    return column if match is None else match[1] or match[2] or "0"


def _run(
    table: Table, row: Row, params: Mapping[str, str], results: Mapping[str, float | None]
) -> Run:
    has = {metric: number for metric, number in results.items() if number is not None}
    return Run(
        state=_state(table, row, bool(has)),
        params={
            name: setting_in(row.cells[column])
            for name, column in params.items()
            if column in row.cells
        },
        results=has,
        history={metric: _intermediate(row) for metric in results},
        start=_moment(row.cells.get("datetime_start")),
        complete=_moment(row.cells.get("datetime_complete")),
        number=_number(table, row),
        system_attrs=_system_attrs(table, row),
    )


def _system_attrs(table: Table, row: Row) -> dict[str, object]:
    """What Optuna wrote about the trial: a cell for each that any trial has."""
    found = {
        column.removeprefix(_SYSTEM): literal_in(cell)
        for column, cell in row.cells.items()
        if column.startswith(_SYSTEM) and not is_empty(cell)
    }
    limits = found.get("constraints")
    if limits is not None and not _are_numbers(limits):
        words = f"must be a list of numbers, got {row.cells[_CONSTRAINTS]!r}; export it again"
        raise table.problem(row, _CONSTRAINTS, words)
    return found


def _are_numbers(limits: object) -> bool:
    return isinstance(limits, list) and all(isinstance(limit, int | float) for limit in limits)


def _moment(cell: object) -> datetime | None:
    """A date and time; of a number as it was written, for pandas knew of no time zone."""
    moment = moment_in(cell)
    return moment.replace(tzinfo=None) if moment and number_in(cell) is not None else moment


def _state(table: Table, row: Row, has_result: bool) -> TrialState:
    """The state that is written; where the table has none, what the result tells."""
    column = next((each for each in _STATES if each in row.cells), None)
    if column is None:
        return TrialState.COMPLETE if has_result else TrialState.FAIL
    written = str(row.cells[column]).strip()
    name = written.rpartition(".")[2].upper()
    if name in TrialState.__members__:
        return TrialState[name]
    if written.isdigit() and int(written) in {state.value for state in TrialState}:
        return TrialState(int(written))
    choices = ", ".join(TrialState.__members__)
    raise table.problem(row, column, f"must be one of {choices}, got {written!r}; correct it")


def _number(table: Table, row: Row) -> int | None:
    column = next((each for each in _NUMBERS if each in table.columns), None)
    if column is None:
        return None
    number = number_in(row.cells.get(column))
    if number is None or not number >= 0 or not number.is_integer():
        words = f"must be a trial's number, 0 or more, got {row.cells.get(column, '')!r}"
        raise table.problem(row, column, f"{words}; correct it or remove the row")
    return int(number)


def _check_numbers(table: Table, runs: Sequence[Run]) -> None:
    seen: dict[int, str] = {}
    for row, run in zip(table.rows, runs, strict=True):
        if run.number is None:
            continue
        if run.number in seen:
            raise InvalidInput(
                f"table {table.path}: {row.place} and {seen[run.number]} are both trial "
                f"{run.number}; keep the trials of one study in a table"
            )
        seen[run.number] = row.place


def _intermediate(row: Row) -> dict[int, float]:
    found = {}
    for column, cell in row.cells.items():
        step, number = _STEP.fullmatch(column), number_in(cell)
        if step is not None and number is not None and not is_empty(cell):
            found[int(step[1])] = number
    return found
