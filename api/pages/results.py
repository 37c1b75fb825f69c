"""What a comparison's page shows of it: how far it is, what came out, what failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tuner.api import reports
from tuner.api.pages.drawing import Chart, chart
from tuner.api.pages.overview import tenths
from tuner.compare import words
from tuner.compare.comparison import Comparison
from tuner.compare.protocol import ACCURACY
from tuner.compare.summary import ArmSummary, RetrainedSummary
from tuner.compare.verdict import Verdict
from tuner.errors import Conflict
from tuner.search.database.store import Store
from tuner.search.database.tables import FAILED
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.results.arms import study_summary
from tuner.search.watch import views
from tuner.search.watch.progress import ArmProgress

BEST_SHOWN = 10
FAILED_SHOWN = 20
STUDIES_SHOWN = 60

_PICTURES = 20
"""The figure of a running comparison is drawn anew so often; it costs a second."""


@dataclass(frozen=True)
class BestTrial:
    """One of the best trials: its study, its place there, what it was tried with."""

    row: views.TrialRow
    params: Mapping[str, Any]  # Any: a number, a string or a boolean
    seconds: float | None


@dataclass(frozen=True)
class FailedTrial:
    """A trial that raised more often than it is retried."""

    row: views.TrialRow
    error: str


@dataclass(frozen=True)
class Incumbent:
    """An arm's best setting, retrained with fresh seeds; scores in words.

    Where the arm searched nothing, ``validation`` is the mean of its runs. ``luck`` says what the
    report does of a best score that was shown to be luck.
    """

    arm: str
    settings: Mapping[str, object]
    validation: str
    retrained_validation: str
    test: str
    seeds: int
    luck: str | None


@dataclass(frozen=True)
class ArmNow:
    """An arm: how far it is, and its best trials."""

    spec: ArmSpec
    progress: ArmProgress
    best: tuple[BestTrial, ...]


@dataclass(frozen=True)
class StudyNow:
    """A study, and its number in Optuna's dashboard once it is there."""

    row: views.StudyRow
    optuna_id: int | None


@dataclass(frozen=True)
class ComparisonNow:
    """What a comparison's page shows that may change.

    Args:
        row: Its name and state.
        note: What it waits for, if nobody works on it.
        arms: In the order of the declaration.
        n_searches: Searches whose selected setting is trained afresh.
        figure: A number that changes when the figure is to be drawn anew; None without a figure.
        curve: The tuning curve of a single search.
        verdict: The report's, once all has ended; that of the last look, as long as it runs.
        incumbents: The arms' best settings, once they were retrained.
        trouble: Why there is no report although all has ended.
        failed: The first failed trials.
        n_failed: How many there are.
        studies: The first studies.
        n_studies: How many there are.
    """

    row: views.ComparisonRow
    note: str | None
    arms: tuple[ArmNow, ...]
    n_searches: int
    figure: int | None
    curve: Chart | None
    verdict: Verdict | None
    incumbents: tuple[Incumbent, ...]
    trouble: str | None
    failed: tuple[FailedTrial, ...]
    n_failed: int
    studies: tuple[StudyNow, ...]
    n_studies: int

    @property
    def announcement(self) -> str:
        """What has changed, for those who hear the page, in steps that are worth hearing."""
        done = tenths(tuple(arm.progress for arm in self.arms))
        return f"{self.row.name}: {self.row.status}, {done} per cent done"


def results(store: Store, row: views.ComparisonRow, spec: ComparisonSpec) -> ComparisonNow:
    """The comparison as it is now."""
    studies = views.list_studies(store, limit=10_000, comparison=row.name)
    arms = tuple(
        ArmNow(arm, so_far, _best(store, [study for study in studies if study.arm == arm.name]))
        for arm, so_far in zip(spec.arms, views.arms_of(store, spec), strict=True)
    )
    picture = _picture(row, studies)
    has_values = all(arm.progress.best is not None for arm in arms)
    comparison, trouble = _comparison(store, row, spec, studies)
    return ComparisonNow(
        row=row,
        note=views.note(store, row, [arm.progress for arm in arms]),
        arms=arms,
        n_searches=sum(
            study.n_trials
            for study in studies
            if study.retrain and study.study_name.endswith("/selected")
        ),
        figure=picture if has_values and len(arms) > 1 else None,
        curve=_curve(store, row, spec, picture) if has_values else None,
        verdict=None if comparison is None else comparison.verdict,
        incumbents=() if comparison is None else _incumbents(comparison),
        trouble=trouble,
        failed=_failed(store, studies),
        n_failed=sum(study.failed for study in studies),
        studies=tuple(
            StudyNow(study, views.optuna_id(store, study.study_name))
            for study in studies[:STUDIES_SHOWN]
        ),
        n_studies=len(studies),
    )


def _best(store: Store, studies: list[views.StudyRow]) -> tuple[BestTrial, ...]:
    """An arm's best trials: they are in its best searches."""
    searches = [study for study in studies if not study.retrain and study.best is not None]
    searches.sort(key=lambda study: study.best or 0.0, reverse=True)
    rows = [
        row
        for study in searches[:BEST_SHOWN]
        for row in views.best_trials(store, study.study_name, BEST_SHOWN)
    ]
    rows.sort(key=lambda row: row.value or 0.0, reverse=True)
    return tuple(_with_params(store, row) for row in rows[:BEST_SHOWN])


def _with_params(store: Store, row: views.TrialRow) -> BestTrial:
    _, trial = views.get_trial(store, row.trial_id)
    return BestTrial(row, trial.params, trial.user_attrs.get("run", {}).get("seconds"))


def _failed(store: Store, studies: list[views.StudyRow]) -> tuple[FailedTrial, ...]:
    """The first of them, with what they raised last."""
    failed_trials: list[FailedTrial] = []
    for study in studies:
        if study.failed and len(failed_trials) < FAILED_SHOWN:
            left = FAILED_SHOWN - len(failed_trials)
            for row in views.list_trials(store, study.study_name, limit=left, state=FAILED):
                _, trial = views.get_trial(store, row.trial_id)
                failed_trials.append(FailedTrial(row, str(trial.user_attrs.get("error", ""))))
    return tuple(failed_trials)


def _picture(row: views.ComparisonRow, studies: list[views.StudyRow]) -> int:
    """A number that changes now and then while trials end, and once all have."""
    ended = sum(study.done + study.failed for study in studies)
    stride = max(1, sum(study.n_trials for study in studies) // _PICTURES)
    return ended // stride * stride if row.status == "active" else ended


def _curve(
    store: Store, row: views.ComparisonRow, spec: ComparisonSpec, picture: int
) -> Chart | None:
    """The tuning curve of a comparison that is a single random search."""
    searches = spec.studies()
    return None if len(searches) > 1 or searches[0].learns else _drawn(store, row, picture)


@lru_cache(maxsize=32)
def _drawn(store: Store, row: views.ComparisonRow, _picture: int) -> Chart | None:
    """The curve, for as long as the comparison and the number stay."""
    (search,) = store.comparison(row.name).studies()
    points = study_summary(store, search)[0].curve
    return chart(
        "Expected best validation accuracy of k random trials",
        [point.k for point in points],
        [point.value for point in points],
        band=([point.low for point in points], [point.high for point in points]),
        log_steps=True,
    )


def _comparison(
    store: Store,
    row: views.ComparisonRow,
    spec: ComparisonSpec,
    studies: Sequence[views.StudyRow],
) -> tuple[Comparison | None, str | None]:
    """What came out of a comparison at its end or its last look, or why there is nothing."""
    primary = [arm for arm in spec.judged if arm.name in spec.primary]
    names = [study.study_name for arm in primary if (study := spec.selected(arm))]
    ended = tuple(s.done + s.failed for s in studies if s.study_name in names)
    try:
        if row.status == "complete" and len(spec.arms) > 1:
            return reports.of(store, row).comparison, None
        if spec.looks and min(ended, default=0) >= spec.looks[0]:
            return reports.at_look(store, row, ended), None
    except Conflict as error:
        return None, str(error)
    return None, None


def _incumbents(comparison: Comparison) -> tuple[Incumbent, ...]:
    return tuple(
        _incumbent(arm, arm.retrained) for arm in comparison.arms if arm.retrained is not None
    )


def _incumbent(arm: ArmSummary, retrained: RetrainedSummary) -> Incumbent:
    return Incumbent(
        arm=arm.name,
        settings=retrained.settings,
        validation=words.score(arm.best, ACCURACY)
        if arm.median is None
        else words.bracketed(arm.median, ACCURACY),
        retrained_validation=words.bracketed(retrained.val, ACCURACY),
        test=words.bracketed(retrained.test, ACCURACY),
        seeds=retrained.seeds,
        luck=retrained.luck,
    )
