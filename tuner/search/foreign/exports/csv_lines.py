"""CSV files as lines of cells: packed or plain, with commas, semicolons or tabs."""

import codecs
import csv
import io
import re
from pathlib import Path

from tuner.errors import InvalidInput
from tuner.search.foreign.exports.packed import unpacked
from tuner.search.foreign.exports.tables import Line

_SEPARATORS = (",", ";", "\t")
_START = 1 << 22
"""Bytes in which the first line ends, or it is no table."""
_COMMA_DECIMAL = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")


def titles_of(path: Path) -> tuple[str, ...]:
    """The cells of a file's first line; none of a folder, and of what is no text."""
    if path.is_dir():
        return ()
    try:
        start = _text(path, unpacked(path, _START))
    except InvalidInput:
        return ()
    first = start.lstrip("\r\n").partition("\n")[0].rstrip("\r")
    if not first or "\0" in first or first[0] in "{[":
        return ()
    try:
        return tuple(next(csv.reader([first], delimiter=_separator(first))))
    except (csv.Error, StopIteration):
        return ()


def csv_lines(path: Path) -> list[Line]:
    """All lines that are not blank.

    Raises:
        InvalidInput: If it is no text in UTF-8 or UTF-16, or no CSV.
    """
    text = _text(path, unpacked(path)).lstrip("\r\n")
    separator = _separator(text.partition("\n")[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    lines: list[Line] = []
    begins = 1
    try:
        for cells in reader:
            if any(cells):
                lines.append(Line(begins, tuple(_decimal(cell, separator) for cell in cells)))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInput(
            f"table {path}: line {begins}: is no CSV ({error}); export it afresh"
        ) from error
    return lines


def _text(path: Path, content: bytes) -> str:
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    decoder = codecs.getincrementaldecoder("utf-16" if wide else "utf-8-sig")()
    try:
        return decoder.decode(content)
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"table {path}: is not in UTF-8 (byte {error.start}); save it as UTF-8"
        ) from error


def _separator(first: str) -> str:
    return max(_SEPARATORS, key=first.count)


def _decimal(cell: str, separator: str) -> str:
    """Where semicolons part cells, a number may have a decimal comma."""
    if separator == ";" and _COMMA_DECIMAL.fullmatch(cell):
        return cell.replace(",", ".")
    return cell
