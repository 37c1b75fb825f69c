"""What a comparison's page shows of it: how far it is, what came out, what failed."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from optuna.trial import FrozenTrial

from tuner.api.pages.drawing import Chart, chart
from tuner.api.pages.overview import tenths
from tuner.api.reports import remembered as reports
from tuner.api.reports.maker import MakerDied
from tuner.compare import words
from tuner.compare.comparison import Comparison
from tuner.compare.protocol import ACCURACY, Protocol
from tuner.compare.report.own_sign import curve_in_own_sign
from tuner.compare.summary import ArmSummary, RetrainedSummary
from tuner.compare.verdict import Verdict
from tuner.errors import Conflict, NotFound
from tuner.search.database.finished import run_of
from tuner.search.database.store import Store
from tuner.search.database.tables import DELETING, FAILED
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.results.records import counts_of
from tuner.search.watch import views, waits
from tuner.search.watch.progress import ArmProgress
from tuner.trial import DataCounts

BEST_SHOWN = 10
FAILED_SHOWN = 20
STUDIES_SHOWN = 60

_PICTURES = 20
"""The figure of a running comparison is drawn anew so often; it costs a second."""


@dataclass(frozen=True)
class BestTrial:
    """One of the best trials: its study, its place there, what it was tried with, its data."""

    row: views.TrialRow
    params: Mapping[str, Any]  # Any: a number, a string or a boolean
    seconds: float | None
    data: DataCounts | None


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
        curve_is_made: Whether it is being made, to be seen in the next look.
        verdict: The report's, once all has ended; that of the last look, as long as it runs.
        verdict_is_made: Likewise.
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
    curve_is_made: bool
    verdict: Verdict | None
    verdict_is_made: bool
    incumbents: tuple[Incumbent, ...]
    trouble: str | None
    failed: tuple[FailedTrial, ...]
    n_failed: int
    studies: tuple[StudyNow, ...]
    n_studies: int

    @property
    def data(self) -> DataCounts | None:
        """How much there is to train on, where the data are the user's own."""
        return next((best.data for arm in self.arms for best in arm.best if best.data), None)

    @property
    def announcement(self) -> str:
        """What has changed, for those who hear the page, in steps that are worth hearing."""
        done = tenths(tuple(arm.progress for arm in self.arms))
        return f"{self.row.name}: {self.row.status}, {done} per cent done"


def results(store: Store, row: views.ComparisonRow, spec: ComparisonSpec) -> ComparisonNow:
    """The comparison as it is now."""
    studies = views.list_studies(store, limit=10_000, comparison=row.name)
    arms = tuple(
        ArmNow(arm, so_far, _best(store, spec, arm, studies))
        for arm, so_far in zip(spec.arms, views.arms_of(store, spec), strict=True)
    )
    picture = _picture(row, studies)
    has_values = row.status != DELETING and all(arm.progress.best is not None for arm in arms)
    of_comparison = _comparison(store, row, spec, studies)
    comparison = of_comparison.value
    of_curve = _curve(store, row, spec, picture) if has_values else _Asked()
    return ComparisonNow(
        row=row,
        note=waits.note(store, row, [arm.progress for arm in arms]),
        arms=arms,
        n_searches=sum(
            study.n_trials
            for study in studies
            if study.retrain and study.study_name.endswith("/selected")
        ),
        figure=picture if has_values and len(arms) > 1 else None,
        curve=None if of_curve.value is None else _drawn(*of_curve.value),
        curve_is_made=of_curve.is_made,
        verdict=None if comparison is None else comparison.verdict,
        verdict_is_made=of_comparison.is_made,
        incumbents=() if comparison is None else _incumbents(comparison),
        trouble=of_comparison.trouble,
        failed=_failed(store, studies),
        n_failed=sum(study.failed for study in studies),
        studies=tuple(
            StudyNow(study, store.study_id(study.study_name)) for study in studies[:STUDIES_SHOWN]
        ),
        n_studies=len(studies),
    )


def _best(
    store: Store, spec: ComparisonSpec, arm: ArmSpec, studies: list[views.StudyRow]
) -> tuple[BestTrial, ...]:
    """An arm's best trials: they are in its best searches."""
    of_arm = [study for study in studies if study.arm == arm.name and not study.retrain]
    searches = [study for study in of_arm if study.best is not None]
    higher = not spec.workload.minimized
    searches.sort(key=lambda study: study.best or 0.0, reverse=higher)
    rows = [
        row
        for study in searches[:BEST_SHOWN]
        for row in views.best_trials(store, study.study_name, BEST_SHOWN)
    ]
    rows.sort(key=lambda row: row.value or 0.0, reverse=higher)
    best = [(row, _known(store, row)) for row in rows[:BEST_SHOWN]]
    return tuple(
        BestTrial(row, trial.params, run_of(trial).get("seconds"), counts_of(run_of(trial)))
        for row, trial in best
        if trial is not None
    )


def _known(store: Store, row: views.TrialRow) -> FrozenTrial | None:
    """What Optuna knows of the trial; None if it was deleted from outside."""
    try:
        return views.in_optuna(store, row)
    except NotFound:
        return None


def _failed(store: Store, studies: list[views.StudyRow]) -> tuple[FailedTrial, ...]:
    """The first of them, with what they raised last."""
    failed_trials: list[FailedTrial] = []
    for study in studies:
        if study.failed and len(failed_trials) < FAILED_SHOWN:
            left = FAILED_SHOWN - len(failed_trials)
            for row in views.list_trials(store, study.study_name, limit=left, state=FAILED):
                trial = _known(store, row)
                error = "" if trial is None else str(trial.user_attrs.get("error", ""))
                failed_trials.append(FailedTrial(row, error))
    return tuple(failed_trials)


def _picture(row: views.ComparisonRow, studies: list[views.StudyRow]) -> int:
    """A number that changes now and then while trials end, and once all have."""
    ended = sum(study.done + study.failed for study in studies)
    stride = max(1, sum(study.n_trials for study in studies) // _PICTURES)
    return ended // stride * stride if row.status == "active" else ended


def _curve(
    store: Store, row: views.ComparisonRow, spec: ComparisonSpec, picture: int
) -> "_Asked[tuple[ArmSummary, Protocol]]":
    """The tuning curve of a comparison that is a single random search."""
    searches = spec.studies()
    if len(searches) > 1 or searches[0].learns:
        return _Asked()
    return _asked(reports.search_of(store, row, searches[0].study_name, picture))


def _drawn(summary: ArmSummary, protocol: Protocol) -> Chart | None:
    points = curve_in_own_sign(summary, protocol)
    return chart(
        f"Expected best {words.measure(protocol)} of k random trials",
        [point.k for point in points],
        [point.value for point in points],
        band=([point.low for point in points], [point.high for point in points]),
        log_steps=True,
        shares=protocol.unit == ACCURACY,
    )


def _comparison(
    store: Store,
    row: views.ComparisonRow,
    spec: ComparisonSpec,
    studies: Sequence[views.StudyRow],
) -> "_Asked[Comparison]":
    """What came out of a comparison at its end or its last look, or why there is nothing."""
    primary = [arm for arm in spec.judged if arm.name in spec.primary]
    names = [study.study_name for arm in primary if (study := spec.selected(arm))]
    ended = tuple(s.done + s.failed for s in studies if s.study_name in names)
    if row.status == "complete" and len(spec.arms) > 1:
        whole = _asked(reports.of(store, row))
        comparison = None if whole.value is None else whole.value.comparison
        return _Asked(comparison, is_made=whole.is_made, trouble=whole.trouble)
    if spec.looks and min(ended, default=0) >= spec.looks[0]:
        return _asked(reports.at_look(store, row, ended))
    return _Asked()


Made = TypeVar("Made")


@dataclass(frozen=True)
class _Asked(Generic[Made]):
    """What was asked for: it, that it is being made, or why there is none."""

    value: Made | None = None
    is_made: bool = False
    trouble: str | None = None


def _asked(promise: Future[Made]) -> _Asked[Made]:
    try:
        value = reports.soon(promise)
    except (Conflict, MakerDied) as error:
        return _Asked(trouble=str(error))
    return _Asked(value, is_made=value is None)


def _incumbents(comparison: Comparison) -> tuple[Incumbent, ...]:
    return tuple(
        _incumbent(arm, arm.retrained, comparison.protocol)
        for arm in comparison.arms
        if arm.retrained is not None
    )


def _incumbent(arm: ArmSummary, retrained: RetrainedSummary, protocol: Protocol) -> Incumbent:
    return Incumbent(
        arm=arm.name,
        settings=retrained.settings,
        validation=words.score(arm.best, protocol)
        if arm.median is None
        else words.bracketed(arm.median, protocol),
        retrained_validation=words.bracketed(retrained.val, protocol),
        test=words.bracketed(retrained.test, protocol),
        seeds=retrained.seeds,
        luck=retrained.luck,
    )
