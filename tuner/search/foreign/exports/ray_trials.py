"""Trials of Ray Tune: what an experiment's state and a trial's own folder say of them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import InvalidInput
from tuner.search.foreign.exports.csv_lines import csv_lines
from tuner.search.foreign.exports.packed import text_in
from tuner.search.foreign.exports.tables import flat, table_of_lines

Fields = Mapping[str, object]

PARAMS, RESULTS, PROGRESS, ERROR = "params.json", "result.json", "progress.csv", "error.txt"


@dataclass(frozen=True)
class State:
    """A trial in the state of its experiment.

    Args:
        trial_id: Its identifier.
        fields: What Ray kept of it: its status, its settings, its last result.
        folder: The name of its folder.
    """

    trial_id: str
    fields: Fields
    folder: str


def states_in(content: Fields) -> Iterator[State]:
    """The trials of an experiment's state, which Ray 1 and Ray 2 write in three ways."""
    checkpoints = content.get("checkpoints")
    for each in checkpoints if isinstance(checkpoints, list) else ():
        yield from _state(_fields(each), {})
    trials = content.get("trial_data")
    for pair in trials if isinstance(trials, list) else ():
        if isinstance(pair, list) and pair:
            yield from _state(_fields(pair[0]), _fields(pair[1]) if len(pair) > 1 else {})


def _state(fields: Fields, more: Fields) -> Iterator[State]:
    trial_id = fields.get("trial_id")
    if trial_id is not None:
        kept = {**fields, **more}
        named = (kept.get(name) for name in ("relative_logdir", "logdir", "_local_path"))
        folder = next((str(each) for each in named if isinstance(each, str)), "")
        yield State(str(trial_id), kept, folder.rstrip("/").rpartition("/")[2])


def _fields(content: object) -> Fields:
    """An object, or one that is written as text."""
    if isinstance(content, str):
        content = json.loads(content)
    return content if isinstance(content, Mapping) else {}


def flattened(fields: object) -> dict[str, object]:
    """Fields of objects in objects as Ray names them."""
    pairs = flat(fields, "/") if isinstance(fields, Mapping) else ()
    return {name: each for name, each in pairs if each != {}}


@dataclass(frozen=True)
class Reported:
    """What a trial reported, in its order, and what must be said of how it was read."""

    results: tuple[Fields, ...]
    notes: tuple[str, ...] = ()


def reported_in(folder: Path) -> Reported:
    """The results in a trial's folder; none where it reported none.

    Raises:
        InvalidInput: If a line that is not the last is no JSON.
    """
    path = folder / RESULTS
    if not path.is_file() or not path.stat().st_size:
        path = folder / PROGRESS
        if not path.is_file() or not path.stat().st_size:
            return Reported(())
        lines = csv_lines(path)
        table = table_of_lines(path, lines[0].cells, lines[1:])
        return Reported(tuple(row.cells for row in table.rows), table.notes)
    lines_of = text_in(path).splitlines()
    results: list[Fields] = []
    for number, line in enumerate(lines_of, start=1):
        try:
            found = json.loads(line)
        except ValueError as error:
            if number < len(lines_of):
                raise InvalidInput(
                    f"results {path}: line {number} is no JSON ({error}); correct it or remove it"
                ) from error
            note = f"{path}: its last line {number} is cut off and left out"
            return Reported(tuple(results), (note,))
        results.append(flattened(found))
    return Reported(tuple(results))


def params_in(folder: Path) -> dict[str, object]:
    """The settings in a trial's folder; none where the file is missing.

    Raises:
        InvalidInput: If they are no JSON.
    """
    path = folder / PARAMS
    if not path.is_file():
        return {}
    try:
        return flattened(json.loads(text_in(path)))
    except ValueError as error:
        raise InvalidInput(f"settings {path}: are no JSON ({error}); copy them afresh") from error
