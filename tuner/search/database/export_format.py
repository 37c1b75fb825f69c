"""The file that comparisons travel in: JSON Lines.

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
from collections.abc import Generator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, Strict

from tuner import __version__
from tuner.search.database.tables import LONGEST_NOTES, TAG

FORMAT: Final = "bnn-tuner export"
VERSION: Final = 1

Attributes = dict[str, Any]  # Any: any JSON value
Count = Annotated[int, Field(ge=0, lt=10**9)]
"""As large as a revision or a number of attempts gets, and some way below what a column holds."""

Created = Annotated[float, Field(ge=0, lt=32_503_680_000.0)]
"""Seconds since 1970, before the year 3000."""

Time = Annotated[
    AwareDatetime,
    Strict(False),
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(3000, 1, 1, tzinfo=UTC)),
]


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
    created: Created
    status: Literal["active", "paused", "complete", "cancelled"]
    revision: Count
    code_version: Annotated[str, Field(pattern=r"^[!-~]{1,40}$")]
    notes: Annotated[str, Field(max_length=LONGEST_NOTES, pattern=r"\A[^\x00]*\z")] = ""
    tags: Annotated[str, Field(max_length=1000, pattern=rf"\A(?: (?:{TAG} )+)?\z")] = ""
    archived: Annotated[float, Field(allow_inf_nan=False)] | None = None
    own_code: Annotated[str, Field(pattern=r"\A[ -~]{1,1000}\z")] | None = None


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
    batch: Annotated[Count, Field(ge=1)] | None
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
    intermediate: dict[Annotated[int, Strict(False), Field(ge=0, lt=2**31)], float]
    place: Place | None


class Footer(_Line):
    """The last line; ``sha256`` is of all lines before it, line feeds included."""

    kind: Literal["footer"] = "footer"
    comparisons: Count
    studies: Count
    trials: Count
    sha256: str


Content = ComparisonLine | StudyLine | TrialLine


def written(contents: Iterable[Content]) -> Generator[str, None, None]:
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
    yield _text(footer(counts, sums.hexdigest()))


def footer(counts: Mapping[str, int], sha256: str) -> Footer:
    """The last line of a file with so many lines of each kind."""
    return Footer(
        comparisons=counts["comparison"],
        studies=counts["study"],
        trials=counts["trial"],
        sha256=sha256,
    )


def _text(line: Header | Content | Footer) -> str:
    return json.dumps(line.model_dump(), default=datetime.isoformat) + "\n"
