"""The lines of a file of comparisons, and what must hold of them."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar

import optuna
from optuna.distributions import json_to_distribution
from optuna.trial import FrozenTrial, TrialState
from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from tuner import __version__
from tuner.errors import InvalidInput
from tuner.search.spec import ComparisonSpec, declaration_hash

FORMAT, VERSION = "bnn-tuner export", 1

Key = TypeVar("Key", int, str)
Value = TypeVar("Value")


Ended = Literal["WAITING", "COMPLETE", "PRUNED", "FAIL"]
"""Optuna's states of a trial that is in no training."""

Queued = Literal["held", "waiting", "done", "failed", "cancelled"]
"""The queue's states of such a trial."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Header(_Line):
    """The first line."""

    kind: Literal["header"] = "header"
    format: str = FORMAT
    version: int = VERSION
    software: str = __version__


class ComparisonLine(_Line):
    """A row of ``tables.comparisons``."""

    kind: Literal["comparison"] = "comparison"
    name: str
    declaration_hash: str
    spec: str
    created: float
    status: Literal["active", "paused", "complete", "cancelled"]
    revision: int
    code_version: str
    served: float | None

    @property
    def comparison(self) -> str:
        """Whose line it is."""
        return self.name


class StudyLine(_Line):
    """A row of ``tables.studies``; ``attributes`` is None if Optuna does not have it yet."""

    kind: Literal["study"] = "study"
    comparison: str
    study_name: str
    arm: str
    repeat: int
    retrain: bool
    n_trials: int
    status: Literal["active", "paused", "complete", "cancelled"]
    revision: int
    batch: int | None
    attributes: dict[str, Any] | None  # Any: any JSON value


class Place(_Line):
    """What a row of ``tables.trials`` says beside the trial's number and study."""

    position: int
    state: Queued
    attempts: int
    failures: int
    value: float | None


class TrialLine(_Line):
    """A trial in Optuna; ``place`` is None if another took its place in the queue."""

    kind: Literal["trial"] = "trial"
    comparison: str
    study_name: str
    state: Ended
    values: list[float] | None
    started: AwareDatetime | None
    ended: AwareDatetime | None
    params: dict[str, Any]  # Any: a number, a string or a boolean
    distributions: dict[str, str]
    user_attrs: dict[str, Any]  # Any: any JSON value
    system_attrs: dict[str, Any]  # Any: any JSON value
    intermediate: dict[int, float]
    place: Place | None


class Footer(_Line):
    """The last line."""

    kind: Literal["footer"] = "footer"
    lines: int


Line = ComparisonLine | StudyLine | TrialLine
_LINE: TypeAdapter[Header | Line | Footer] = TypeAdapter(Header | Line | Footer)


def ordered(values: Mapping[Key, Value]) -> dict[Key, Value]:
    """The same, in an order that does not depend on the database."""
    return dict(sorted(values.items()))


def read(lines: Iterable[str]) -> list[Line]:
    """The lines between header and footer, checked.

    Raises:
        InvalidInput: If something is wrong with one of them, or one is missing.
    """
    found: list[Header | Line | Footer] = []
    for number, text in enumerate(lines, start=1):
        try:
            data = json.loads(text)
            if number == 1:
                _check_header(data)
            found.append(_LINE.validate_python(data))
        except (ValidationError, json.JSONDecodeError, RecursionError) as error:
            raise _damaged(number) from error
    if not found:
        raise InvalidInput("the export is empty; nothing was imported")
    last = found[-1]
    between = [line for line in found[1:-1] if not isinstance(line, Header | Footer)]
    if not isinstance(last, Footer) or not last.lines == len(found) - 2 == len(between):
        raise InvalidInput("the export is cut off: lines are missing; nothing was imported")
    for number, line in enumerate(between, start=2):
        try:
            _check(line, between)
        except (KeyError, ValueError) as error:
            raise _damaged(number) from error
    return between


def frozen(line: TrialLine) -> FrozenTrial:
    """The trial as Optuna takes it.

    Raises:
        ValueError: If it cannot be.
    """
    trial = optuna.create_trial(
        state=TrialState[line.state],
        values=line.values,
        params=line.params,
        distributions={n: json_to_distribution(d) for n, d in line.distributions.items()},
        user_attrs=line.user_attrs,
        system_attrs=line.system_attrs,
        intermediate_values=line.intermediate,
    )
    trial.datetime_start, trial.datetime_complete = _local(line.started), _local(line.ended)
    return trial


def _local(time: datetime | None) -> datetime | None:
    """Optuna takes times in the machine's own zone, without a zone."""
    return None if time is None else time.astimezone().replace(tzinfo=None)


def _damaged(number: int) -> InvalidInput:
    return InvalidInput(f"line {number} of the export is damaged; nothing was imported")


def _check_header(data: Any) -> None:  # Any: unchecked JSON
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InvalidInput("this is not a file of tuner db export; nothing was imported")
    if data.get("version") != VERSION:
        raise InvalidInput(
            f"the export is of version {data.get('version')!r}, this software reads {VERSION}; "
            "export it again with a version of bnn-tuner that both sides have"
        )


def _check(line: Line, lines: list[Line]) -> None:
    """Refuse what no database ever held.

    Raises:
        KeyError, ValueError: If the line does not fit itself or the others.
    """
    match line:
        case ComparisonLine():
            spec = ComparisonSpec.model_validate_json(line.spec)
            wanted = {study.study_name for study in spec.every_study()}
            there = [s for s in lines if isinstance(s, StudyLine) and s.comparison == line.name]
            if (declaration_hash(spec), spec.name) != (line.declaration_hash, line.name):
                raise ValueError("the declaration is another")
            if {study.study_name for study in there} != wanted or len(there) != len(wanted):
                raise ValueError("the studies are others")
        case TrialLine():
            frozen(line)
            if not {"index", "seed"} <= line.user_attrs.keys():
                raise ValueError("the trial has no index or seed")
