"""Tables that others exported: CSV in its dialects, and JSON objects a line or in a list."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tuner.errors import InvalidInput
from tuner.search.foreign.exports.cells import is_empty, moment_in, number_in


@dataclass(frozen=True)
class Row:
    """A row with its cells.

    Args:
        place: Where it is in the file, such as ``line 7``.
        cells: Name of each column that has something there -> what it is.
    """

    place: str
    cells: Mapping[str, object]


@dataclass(frozen=True)
class Table:
    """A table as it stands in a file.

    Args:
        path: The file.
        titles: Of its columns, as they are written; two may be alike.
        rows: In the file's order.
        notes: What must be said of how it was read.
        columns: The titles, told apart where two are alike.
    """

    path: Path
    titles: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", told_apart(self.titles))

    def numbers(self, column: str) -> list[float | None]:
        """The numbers in a column, row by row; None where nothing stands.

        Raises:
            InvalidInput: If there is anything but a number.
        """
        found = []
        for row in self.rows:
            cell = row.cells.get(column)
            number = number_in(cell)
            if number is None and not is_empty(cell):
                raise self.problem(
                    row, column, f"must be a number, got {cell!r}; correct it or leave it empty"
                )
            found.append(number)
        return found

    def numeric(self, column: str) -> bool:
        """Whether there are numbers in a column, and nothing else."""
        return column in self._numeric

    @cached_property
    def _numeric(self) -> frozenset[str]:
        filled: set[str] = set()
        others: set[str] = set()
        for row in self.rows:
            filled.update(row.cells)
            for column, cell in row.cells.items():
                if column not in others and number_in(cell) is None:
                    others.add(column)
        return frozenset(filled - others)

    def problem(self, row: Row, column: str, words: str) -> InvalidInput:
        """The error of a cell: its file, line, column and what is wrong with it."""
        return InvalidInput(f"table {self.path}: {row.place}, column {column!r}: {words}")

    def unread_moments(self, *columns: str) -> tuple[str, ...]:
        """A note on dates that are written in no form that is known, if there are any."""
        unread = [
            (row.place, row.cells[column])
            for column in columns
            for row in self.rows
            if column in row.cells and moment_in(row.cells[column]) is None
        ]
        if not unread:
            return ()
        place, cell = unread[0]
        return (
            f"{self.path}: {len(unread)} dates are left out, such as {cell!r} in {place}: "
            "they are not written as 2026-01-31 12:00:00",
        )


def told_apart(titles: Sequence[str]) -> tuple[str, ...]:
    """The titles, those that recur with a number behind them."""
    seen: Counter[str] = Counter()
    names = []
    for title in titles:
        seen[title] += 1
        names.append(title if seen[title] == 1 else f"{title} ({seen[title]})")
    return tuple(names)


@dataclass(frozen=True)
class Line:
    """The cells of a line of a CSV file, and where it begins, from 1."""

    number: int
    cells: tuple[str, ...]


def table_of_lines(path: Path, titles: tuple[str, ...], lines: Sequence[Line]) -> Table:
    """The table that lines make under titles; a last one that was cut off is left out.

    Raises:
        InvalidInput: If any other has more or fewer cells than there are titles.
    """
    columns = told_apart(titles)
    notes = [
        f"{path}: column {title!r} stands there {count} times; those after the first are called "
        f"{title} (2) and so on"
        for title, count in Counter(titles).items()
        if count > 1 and title
    ]
    rows = []
    for line in lines:
        if len(line.cells) != len(columns):
            if line is lines[-1] and len(line.cells) < len(columns):
                notes.append(f"{path}: its last line {line.number} is cut off and left out")
                continue
            raise InvalidInput(
                f"table {path}: line {line.number} has {len(line.cells)} cells and the header "
                f"{len(columns)}; quote the cells that have separators in them"
            )
        cells = {
            column: cell
            for column, cell in zip(columns, line.cells, strict=True)
            if not is_empty(cell)
        }
        rows.append(Row(f"line {line.number}", cells))
    return Table(path, titles, tuple(rows), tuple(notes))


def flat(cells: Mapping[str, object], separator: str) -> Iterator[tuple[str, object]]:
    """Fields of objects in objects, with the names on the way to them joined.

    Objects with a ``_type`` are left out: W&B and Ray write them for what JSON cannot hold.
    """
    for name, cell in cells.items():
        if isinstance(cell, Mapping) and "_type" in cell:
            continue
        if isinstance(cell, Mapping) and cell:
            for inner, value in flat(cell, separator):
                yield f"{name}{separator}{inner}", value
        else:
            yield name, cell


def columns_where(table: Table, holds: Callable[[str], bool]) -> list[str]:
    """The columns of whose names something holds."""
    return [column for column in table.columns if holds(column)]
