"""What stands in a cell of a table, or in a field of a JSON object."""

import json
import math
import re
from datetime import UTC, datetime

Setting = bool | int | float | str | None
"""A value of a parameter, as Optuna keeps it."""

_INTEGER = re.compile(r"[+-]?\d+")
_LARGEST = 10**300
"""Beyond which a number is kept as its text: ranges are computed with floats."""
_MILLISECONDS_FROM = 1e11
"""Seconds until the year 5138: a larger number of them is one of milliseconds."""


def number_in(cell: object) -> float | None:
    """The number in a cell, which may be NaN or infinite; None where there is none."""
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        return None
    if isinstance(cell, str) and "_" in cell:  # which Python takes for a separator of digits
        return None
    try:
        return float(cell)
    except ValueError:
        return None
    except OverflowError:
        return math.inf


def setting_in(cell: object) -> Setting:
    """The value of a parameter; lists and objects, and numbers without bounds, as their text."""
    if isinstance(cell, str):
        return _setting_in_text(cell.strip())
    if cell is None or isinstance(cell, bool):
        return cell
    if isinstance(cell, int):
        return cell if abs(cell) < _LARGEST else str(cell)
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else str(cell)
    return json.dumps(cell, sort_keys=True, default=str)


def _setting_in_text(text: str) -> Setting:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    number = number_in(text)
    if number is None or not abs(number) < _LARGEST:
        return text
    return int(text) if _INTEGER.fullmatch(text) else number


def moment_in(cell: object) -> datetime | None:
    """The date and time in a cell; of a number, which counts from 1970, in UTC.

    None where there is none, and where it is written in no form that is known.
    """
    number = number_in(cell)
    if number is not None:
        if not 0 < number < 1e15:
            return None
        seconds = number / 1000 if number >= _MILLISECONDS_FROM else number
        return datetime.fromtimestamp(seconds, UTC)
    if not isinstance(cell, str):
        return None
    text = cell.strip()
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _spreadsheet_moment(text)


def _spreadsheet_moment(text: str) -> datetime | None:
    """What a spreadsheet makes of a date, where the year comes first; else None."""
    parts = re.fullmatch(r"(\d{4})/(\d{1,2})/(\d{1,2})(?: (\d{1,2}):(\d\d)(?::(\d\d))?)?", text)
    if parts is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in parts.groups())
    try:
        return datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None


def is_empty(cell: object) -> bool:
    """Whether nothing stands in a cell."""
    return cell is None or (isinstance(cell, str) and not cell.strip())
