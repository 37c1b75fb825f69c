"""JSON as rows: one object a line, a list of objects, or columns as pandas writes them."""

import json
from collections.abc import Mapping
from pathlib import Path

from tuner.errors import InvalidInput
from tuner.search.foreign.exports.packed import text_in, unpacked
from tuner.search.foreign.exports.tables import Row, Table

_START = 1 << 22
"""Bytes in which the first object ends, or the file is of no kind that is known."""

Fields = dict[str, object]


def first_object(path: Path) -> Fields:
    """The first row of a JSON file, or its columns; empty where it has none."""
    if path.is_dir():
        return {}
    try:
        text = unpacked(path, _START).decode("utf-8-sig", errors="ignore").lstrip("[ \t\r\n")
    except InvalidInput:
        return {}
    if not text.startswith("{"):
        return {}
    try:
        found, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def json_table(path: Path) -> Table:
    """The rows of a JSON file; a last line that was cut off is left out.

    Raises:
        InvalidInput: If it is no JSON, or a row is no object.
    """
    text = text_in(path)
    whole = _whole(text)
    if whole is not None:
        rows = [Row(f"object {number}", each) for number, each in enumerate(whole, start=1)]
        return _table(path, rows, ())
    rows, notes = [], []
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, line in lines:
        try:
            rows.append(Row(f"line {number}", _object(path, number, json.loads(line))))
        except (ValueError, RecursionError) as error:
            if isinstance(error, InvalidInput) or number != lines[-1][0] or len(lines) == 1:
                raise InvalidInput(
                    f"file {path}: line {number} is no JSON object ({error}); each line must be "
                    "one, or the whole file a list of them"
                ) from error
            notes.append(f"{path}: its last line {number} is cut off and left out")
    return _table(path, rows, tuple(notes))


def _whole(text: str) -> list[Fields] | None:
    """The objects of a file that is one list, or one object of columns; None of lines."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict):
        return _by_columns(found) or [found]
    if isinstance(found, list) and all(isinstance(each, dict) for each in found):
        return found
    return None


def _by_columns(found: Fields) -> list[Fields]:
    """The rows of ``DataFrame.to_json()``: {column: {"0": value, "1": ...}}; none of others."""
    columns = list(found.values())
    if len(columns) < 2 or not all(isinstance(column, dict) for column in columns):
        return []
    labels = [list(column) for column in columns if isinstance(column, Mapping)]
    if not labels[0] or any(each != labels[0] for each in labels):
        return []
    if not all(str(label).isdigit() for label in labels[0]):
        return []
    return [
        {name: column[label] for name, column in found.items() if isinstance(column, Mapping)}
        for label in labels[0]
    ]


def _object(path: Path, number: int, found: object) -> Fields:
    if not isinstance(found, dict):
        raise InvalidInput(f"file {path}: line {number} is a {type(found).__name__}")
    return found


def _table(path: Path, rows: list[Row], notes: tuple[str, ...]) -> Table:
    titles = tuple(dict.fromkeys(name for row in rows for name in row.cells))
    return Table(path, titles, tuple(rows), notes)
