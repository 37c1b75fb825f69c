"""The file that comparisons travel in: JSON Lines, each checked before anything is written.

    {"kind": "header", "format": "bnn-tuner export", "version": 1, ...}
    {"kind": "comparison", ...}   its declaration and state
    {"kind": "study", ...}        one of its studies, and its attributes in Optuna
    {"kind": "trial", ...}        a trial of that study in Optuna, and its place in the queue
    {"kind": "footer", ...}       how many lines of each kind there are, and their SHA-256

A comparison is followed by its studies, a study by its trials in the order of their numbers. The
JSON is Python's: it has NaN and Infinity, as Optuna's attributes do.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

from optuna.distributions import BaseDistribution, json_to_distribution
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    TypeAdapter,
    ValidationError,
)

from tuner import __version__
from tuner.errors import InvalidInput
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.declared.study_spec import StudySpec
from tuner.search.declared.whole_trials import STORED

FORMAT: Final = "bnn-tuner export"
VERSION: Final = 1

Attributes = dict[str, Any]  # Any: any JSON value
Count = Annotated[int, Field(ge=0, lt=2**31)]
Time = Annotated[AwareDatetime, Strict(False)]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Header(_Line):
    """The first line."""

    kind: Literal["header"] = "header"
    format: Literal["bnn-tuner export"] = FORMAT
    version: Literal[1] = VERSION
    software: str = __version__
    created: Time = Field(default_factory=lambda: datetime.now(UTC))


class ComparisonLine(_Line):
    """What moves of a row of ``tables.comparisons``."""

    kind: Literal["comparison"] = "comparison"
    name: str
    declaration_hash: str
    spec: str
    created: float
    status: Literal["active", "paused", "complete", "cancelled"]
    revision: Count
    code_version: str


class OptunaStudy(_Line):
    """What Optuna keeps of a study beside its trials.

    Trials that ``system_attrs`` are about (the dashboard's notes) go by their numbers.
    """

    user_attrs: Attributes
    system_attrs: Attributes


class StudyLine(_Line):
    """A row of ``tables.studies``; ``optuna`` is None before its queue is filled."""

    kind: Literal["study"] = "study"
    comparison: str
    study_name: str
    arm: str
    repeat: Count
    retrain: bool
    n_trials: Count
    status: Literal["active", "paused", "complete", "cancelled"]
    revision: Count
    batch: Count | None
    optuna: OptunaStudy | None


class Place(_Line):
    """What moves of a row of ``tables.trials``."""

    position: Count
    state: Literal["held", "waiting", "done", "failed", "cancelled"]
    attempts: Count
    failures: Count
    value: float | None


class TrialLine(_Line):
    """A trial in Optuna; ``place`` is None if a retry took its place in the queue."""

    kind: Literal["trial"] = "trial"
    study_name: str
    state: Literal["WAITING", "COMPLETE", "PRUNED", "FAIL"]
    values: Annotated[list[float], Field(min_length=1, max_length=1)] | None
    started: Time | None
    ended: Time | None
    params: dict[str, str | bool | int | float | None]
    distributions: dict[str, str]
    user_attrs: Attributes
    system_attrs: Attributes
    intermediate: dict[Annotated[int, Strict(False)], float]
    place: Place | None


class Footer(_Line):
    """The last line; ``sha256`` is of all lines before it, line feeds included."""

    kind: Literal["footer"] = "footer"
    comparisons: Count
    studies: Count
    trials: Count
    sha256: str


@dataclass(frozen=True)
class ExportedStudy:
    """A study with its trials; ``spec`` is what its comparison declares."""

    spec: StudySpec
    line: StudyLine
    trials: list[TrialLine]


@dataclass(frozen=True)
class Exported:
    """A comparison with its studies."""

    comparison: ComparisonLine
    studies: list[ExportedStudy]


Content = ComparisonLine | StudyLine | TrialLine
Line = Annotated[Header | Content | Footer, Field(discriminator="kind")]
_LINE: TypeAdapter[Header | Content | Footer] = TypeAdapter(Line)


def written(contents: Iterable[Content]) -> Iterator[str]:
    """The file's lines, each with its line feed."""
    sums, counts = hashlib.sha256(), Counter[str]()
    header = _text(Header())
    sums.update(header.encode())
    yield header
    for content in contents:
        counts[content.kind] += 1
        text = _text(content)
        sums.update(text.encode())
        yield text
    yield _text(_footer(counts, sums.hexdigest()))


def read_export(lines: Iterable[str]) -> list[Exported]:
    """What is between header and footer.

    Args:
        lines: The file's.

    Raises:
        InvalidInput: If it is no such file, is of another version, is cut off, or is damaged.
    """
    sums, counts = hashlib.sha256(), Counter[str]()
    contents = _Contents()
    footer: Footer | None = None
    number = 0
    for number, text in enumerate(lines, start=1):
        line = _parsed(text, number)
        if footer is not None or (number == 1) != isinstance(line, Header):
            raise _damaged(number, f"a {line.kind} is out of place")
        if isinstance(line, Footer):
            footer = line
            continue
        sums.update(f"{text.rstrip()}\n".encode())
        if not isinstance(line, Header):
            contents.add(line, number)
            counts[line.kind] += 1
    if footer is None:
        raise InvalidInput(
            f"the file is cut off after line {number}: its footer is missing; "
            "nothing was imported; export it again"
        )
    if footer != _footer(counts, sums.hexdigest()):
        raise InvalidInput(
            "the file was changed or lines are missing: it is not what its footer says; "
            "nothing was imported; export it again"
        )
    return contents.exported


class _Contents:
    """Puts lines together, and checks each against those before it."""

    def __init__(self) -> None:
        self.exported: list[Exported] = []
        self._specs: dict[str, StudySpec] = {}
        self._taken: set[int] = set()

    def add(self, line: Content, number: int) -> None:
        """Take the next line.

        Raises:
            InvalidInput: If it does not belong there.
        """
        match line:
            case ComparisonLine():
                self._add_comparison(line, number)
            case StudyLine():
                self._add_study(line, number)
            case TrialLine():
                self._add_trial(line, number)

    def _add_comparison(self, line: ComparisonLine, number: int) -> None:
        try:
            spec = ComparisonSpec.model_validate_json(line.spec, context=STORED)
        except ValueError as error:
            raise _damaged(number, "the declaration is not valid") from error
        if spec.name != line.name:
            raise _damaged(number, f"{line.name!r} is declared as {spec.name!r}")
        if line.name in {each.comparison.name for each in self.exported}:
            raise _damaged(number, f"comparison {line.name!r} is there twice")
        self._specs = {each.study_name: each for each in spec.every_study()}
        at_looks = spec.looks if spec.verdict.stop else ()
        self._budgets = [spec.budgets(searches) for searches in (*at_looks, None)]
        self.exported.append(Exported(line, []))

    def _add_study(self, line: StudyLine, number: int) -> None:
        spec = self._specs.pop(line.study_name, None)
        budgets = {budgets.get(line.study_name) for budgets in self._budgets}
        if spec is None or spec.comparison != line.comparison or line.n_trials not in budgets:
            raise _damaged(number, f"study {line.study_name!r} is not of the comparison above it")
        self.exported[-1].studies.append(ExportedStudy(spec, line, []))
        self._taken = set()

    def _add_trial(self, line: TrialLine, number: int) -> None:
        study = next((each.studies[-1] for each in self.exported[-1:] if each.studies), None)
        if study is None or line.study_name != study.line.study_name or not study.line.optuna:
            raise _damaged(number, f"the trial of {line.study_name!r} is not below its study")
        if line.params.keys() != line.distributions.keys():
            raise _damaged(number, "not every parameter has a distribution")
        try:
            for name, text in line.distributions.items():
                _distribution(text).to_internal_repr(line.params[name])
        except (ValueError, TypeError, KeyError) as error:
            raise _damaged(number, "a parameter does not fit its distribution") from error
        if line.place is not None:
            position = line.place.position
            if position >= study.spec.n_trials or position in self._taken:
                raise _damaged(number, f"position {position} is taken, or beyond the budget")
            self._taken.add(position)
        study.trials.append(line)


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _footer(counts: Counter[str], sha256: str) -> Footer:
    return Footer(
        comparisons=counts["comparison"],
        studies=counts["study"],
        trials=counts["trial"],
        sha256=sha256,
    )


def _text(line: Header | Content | Footer) -> str:
    return json.dumps(line.model_dump(), default=datetime.isoformat) + "\n"


def _parsed(text: str, number: int) -> Header | Content | Footer:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        if number == 1:
            raise _no_export() from error
        raise _damaged(number, "it is not JSON") from error
    if number == 1:
        _check_header(data)
    try:
        return _LINE.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "kind"
        raise _damaged(number, f"{where}: {first['msg']}") from error


def _check_header(data: Any) -> None:  # Any: unchecked JSON
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _no_export()
    if data.get("version") != VERSION:
        raise InvalidInput(
            f"the file is of version {data.get('version')!r} of its format, this software reads "
            f"{VERSION}; nothing was imported; use the bnn-tuner that wrote it, "
            f"{data.get('software')!r}"
        )


def _no_export() -> InvalidInput:
    return InvalidInput("line 1: not a file of tuner db export; nothing was imported")


def _damaged(number: int, rule: str) -> InvalidInput:
    return InvalidInput(
        f"line {number} is damaged: {rule}; nothing was imported; export the file again"
    )
