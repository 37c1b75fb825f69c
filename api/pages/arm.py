"""What an arm's page shows: its trials as figures, and the log of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from tuner.api import deps
from tuner.compare.figures import standalone
from tuner.compare.figures.trials.tried import Tried
from tuner.errors import NotFound
from tuner.search.database.finished import run_of
from tuner.search.database.store import Store
from tuner.search.database.tables import FAILED
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.results.tried import tried
from tuner.search.watch import views
from tuner.search.watch.log import trials_of_arm

TRIALS_SHOWN = 25
_PICTURES = 20
"""The figures of a running arm are drawn anew so often: its trials take a while to read."""


@dataclass(frozen=True)
class Asked:
    """What of an arm is asked for.

    Args:
        row: The comparison.
        arm: The arm.
        study_name: Only this study of it.
        state: Of the trials in the log.
        cursor: Where the log goes on.
    """

    row: views.ComparisonRow
    arm: ArmSpec
    study_name: str | None = None
    state: str | None = None
    cursor: str | None = None


@dataclass(frozen=True)
class TrialFigureShown:
    """A figure on the page: its name in addresses, what stands above it and below."""

    name: str
    heading: str
    caption: str


@dataclass(frozen=True)
class LoggedTrial:
    """A line of the log.

    Args:
        row: The trial in the queue.
        params: What it tried.
        seconds: How long its training took, if it ended.
        remark: What is to be said of it: what it raised last, if it failed, or that it was
            pruned or diverged.
        went_wrong: Whether the remark is about an error.
    """

    row: views.TrialRow
    params: Mapping[str, Any]  # Any: a number, a string or a boolean
    seconds: float | None
    remark: str
    went_wrong: bool


@dataclass(frozen=True)
class ArmPage:
    """An arm's trials.

    Args:
        asked: What was asked for.
        studies: All of the arm, in the order of their submission.
        number: Of the arm among all.
        figures: What can be drawn of its trials.
        version: A number that changes when the figures are to be drawn anew.
        log: A page of its trials.
        next: The cursor of further ones, if there are any.
        unit: What scores are called.
    """

    asked: Asked
    studies: Sequence[views.StudyRow]
    number: int
    figures: Sequence[TrialFigureShown]
    version: int
    log: Sequence[LoggedTrial]
    next: str | None
    unit: str


def arm_page(store: Store, asked: Asked) -> ArmPage:
    """The arm as it is now.

    Raises:
        NotFound: If it has no study of that name.
        InvalidInput: If no page gave this cursor.
    """
    studies = _studies(store, asked)
    version = _version(asked, studies)
    place = deps.decode_cursor(asked.cursor, int, int)
    rows = trials_of_arm(
        store,
        asked.row.name,
        asked.arm.name,
        limit=TRIALS_SHOWN + 1,
        after=None if place is None else (place[0], place[1]),
        study_name=asked.study_name,
        state=asked.state,
    )
    shown = rows[:TRIALS_SHOWN]
    last = shown[-1] if len(rows) > TRIALS_SHOWN else None
    spec = store.comparison(asked.row.name)
    return ArmPage(
        asked=asked,
        studies=studies,
        unit=spec.workload.unit,
        number=[arm.name for arm in spec.arms].index(asked.arm.name),
        figures=_figures(_tried(store, asked.row, asked.arm.name, asked.study_name, version)),
        version=version,
        log=tuple(_logged(store, row) for _, row in shown),
        next=None if last is None else deps.encode_cursor(last[0], last[1].position),
    )


def figure(store: Store, asked: Asked, name: str) -> str:
    """A figure of the arm's page as an SVG file.

    Raises:
        NotFound: If it has no such figure, or nothing to draw there.
    """
    from tuner.compare.figures.trials.registry import TRIAL_FIGURES  # and matplotlib: a second

    version = _version(asked, _studies(store, asked))
    read = _tried(store, asked.row, asked.arm.name, asked.study_name, version)
    if name not in TRIAL_FIGURES or not TRIAL_FIGURES[name][1].trials(read):
        raise NotFound(f"arm {asked.arm.name!r} has nothing for a figure {name!r}")
    return _drawn(store, asked.row, asked.arm.name, asked.study_name, version, name)


def _studies(store: Store, asked: Asked) -> list[views.StudyRow]:
    every = views.list_studies(store, limit=10_000, comparison=asked.row.name)
    studies = [study for study in every if study.arm == asked.arm.name]
    if asked.study_name not in (None, *(study.study_name for study in studies)):
        raise NotFound(f"arm {asked.arm.name!r} has no study {asked.study_name!r}")
    return studies


def _version(asked: Asked, studies: Sequence[views.StudyRow]) -> int:
    """A number that changes now and then while trials end, and once all have."""
    ended = sum(study.done + study.failed for study in studies)
    stride = max(1, sum(study.n_trials for study in studies) // _PICTURES)
    return ended // stride * stride if asked.row.status == "active" else ended


@lru_cache(maxsize=16)
def _tried(
    store: Store, row: views.ComparisonRow, arm: str, study_name: str | None, _version: int
) -> Tried:
    """The trials for the figures, for as long as the comparison and the number stay."""
    spec = store.comparison(row.name)
    (searched,) = (each for each in spec.arms if each.name == arm)
    return tried(store, spec, searched, study_name)


@lru_cache(maxsize=48)
def _drawn(
    store: Store,
    row: views.ComparisonRow,
    arm: str,
    study_name: str | None,
    version: int,
    name: str,
) -> str:
    """A figure as a file, for as long as the comparison and the number stay."""
    from tuner.compare.figures.trials.registry import svg

    return standalone(svg(name, _tried(store, row, arm, study_name, version)))


def _figures(read: Tried) -> list[TrialFigureShown]:
    from tuner.compare.figures.trials.registry import TRIAL_FIGURES

    return [
        TrialFigureShown(name, heading, file.caption(read))
        for name, (heading, file) in TRIAL_FIGURES.items()
        if file.trials(read)
    ]


def _logged(store: Store, row: views.TrialRow) -> LoggedTrial:
    try:
        trial = views.in_optuna(store, row)
    except NotFound as error:
        return LoggedTrial(row, {}, None, str(error), went_wrong=True)
    failed = row.state == FAILED
    raised = str(trial.user_attrs.get("error", "")).strip() if failed else ""
    return LoggedTrial(
        row=row,
        params=trial.params,
        seconds=run_of(trial).get("seconds"),
        remark=raised.splitlines()[-1] if raised else _remark(trial),
        went_wrong=failed,
    )


def _remark(trial: FrozenTrial) -> str:
    if trial.state == TrialState.PRUNED:
        return "pruned"
    return "diverged" if trial.user_attrs.get("diverged") else ""
