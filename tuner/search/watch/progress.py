"""How far a comparison is: study by study, arm by arm."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from tuner.search.database.finished import minimized
from tuner.search.database.store import Store
from tuner.search.database.tables import CANCELLED, studies, trials
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.watch.looks_progress import LooksProgress, looks_progress


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is: numbers of trials, and the best validation score so far.

    A cancelled study counts the trials that it never had as cancelled; ``held`` are those that
    are being enqueued; ``n_trials`` is its budget, which may grow at a look.
    """

    n_trials: int = 0
    held: int = 0
    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    best: float | None = None

    @property
    def left(self) -> int:
        """Trials that wait or are in training."""
        return self.waiting + self.running

    @property
    def queued(self) -> int:
        """Trials that are or were to be had."""
        return self.left + self.finished

    @property
    def finished(self) -> int:
        """Trials that will not run again."""
        return self.done + self.failed + self.cancelled


@dataclass(frozen=True)
class ArmProgress:
    """How far one arm is.

    ``done + retrained + running + waiting + cancelled`` is ``total + to_retrain``.

    Args:
        name: The arm.
        done: Trials that ended, failed ones included.
        total: Trials it has in all, as far as the looks so far let it go on.
        running: Trials in training now.
        failed: Trials that raised more often than they are retried.
        cancelled: Trials of the search that were called off.
        best: Best validation score so far, if any.
        retrained: Settings trained afresh: of its searches, and its incumbent with each seed.
        to_retrain: Those in all, likewise.
        queued: Trials of the search that wait or are in training; 0 once it has ended.
        retraining: Those that wait or are in training; 0 once they have ended.
        waiting: Trials that are to be trained yet, afresh too, whether they are enqueued or not.
        afresh_cancelled: Settings that were to be trained afresh and were called off; no part of
            ``to_retrain``.
    """

    name: str
    done: int
    total: int
    running: int
    failed: int
    cancelled: int
    best: float | None
    retrained: int
    to_retrain: int
    queued: int
    retraining: int
    waiting: int
    afresh_cancelled: int

    @property
    def searched(self) -> bool:
        """Whether its search has ended."""
        return self.done + self.cancelled == self.total

    @property
    def complete(self) -> bool:
        """Whether nothing is left to run."""
        return self.searched and self.retrained == self.to_retrain

    @property
    def lacks_retraining(self) -> bool:
        """Whether something is to be enqueued once its search has ended."""
        return self.retrained + self.retraining < self.to_retrain


@dataclass(frozen=True)
class Progress:
    """How far a comparison is.

    Args:
        arms: Its arms.
        undecided: Whether the next look decides if it goes on.
        looks: How far it is through its looks; ``None`` if none are declared.
        seconds: Since this run of it began, 0 if none is known.
    """

    arms: tuple[ArmProgress, ...]
    undecided: bool = False
    looks: LooksProgress | None = None
    seconds: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing is left to run up to the next look, or for good."""
        return all(arm.complete for arm in self.arms)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to run."""
        return self.ended and not self.undecided

    @property
    def lacks_trials(self) -> bool:
        """Whether trials are to be enqueued."""
        return any(arm.done + arm.cancelled + arm.queued < arm.total for arm in self.arms)

    @property
    def rests(self) -> bool:
        """Whether nothing is to be enqueued, looked at or noted before a trial ends."""
        lacking = any(arm.searched and arm.lacks_retraining for arm in self.arms)
        return not (self.lacks_trials or self.ended or lacking)


def progress(store: Store, spec: ComparisonSpec) -> Progress:
    """How far the comparison is."""
    studies = study_progress(store, spec.name)
    budgets = {study_name: study.n_trials for study_name, study in studies.items()}
    ended = {study_name: study.done + study.failed for study_name, study in studies.items()}
    return Progress(
        arms_progress(spec, studies),
        undecided=spec.undecided(budgets),
        looks=looks_progress(spec, budgets, ended),
    )


def arms_progress(
    spec: ComparisonSpec, studies: Mapping[str, StudyProgress]
) -> tuple[ArmProgress, ...]:
    """How far each arm is, from how far the studies are, by study name."""
    searches_of: dict[str, list[StudyProgress]] = {}
    for study in spec.studies():
        counts = studies.get(study.study_name, StudyProgress(n_trials=study.n_trials))
        searches_of.setdefault(study.arm.name, []).append(counts)
    arms = []
    for arm in spec.arms:
        searches = searches_of[arm.name]
        again = [
            studies[each.study_name] for each in spec.afresh(arm) if each.study_name in studies
        ]
        bests = [search.best for search in searches if search.best is not None]
        done = sum(search.done + search.failed for search in searches)
        total = sum(search.n_trials for search in searches)
        cancelled = sum(search.cancelled for search in searches)
        hopeless = done == total and not bests
        fresh = sum(study.queued if hopeless or cancelled else study.n_trials for study in again)
        afresh_cancelled = sum(each.cancelled for each in again)
        to_retrain = fresh - afresh_cancelled
        retrained = sum(each.done + each.failed for each in again)
        running = sum(each.running for each in (*searches, *again))
        arms.append(
            ArmProgress(
                name=arm.name,
                done=done,
                total=total,
                running=running,
                failed=sum(each.failed for each in (*searches, *again)),
                cancelled=cancelled,
                best=(min if spec.workload.minimized else max)(bests, default=None),
                retrained=retrained,
                to_retrain=to_retrain,
                queued=sum(search.left for search in searches),
                retraining=sum(each.left for each in again),
                waiting=total + to_retrain - done - retrained - running - cancelled,
                afresh_cancelled=afresh_cancelled,
            )
        )
    return tuple(arms)


def study_progress(store: Store, comparison: str) -> dict[str, StudyProgress]:
    """How far each study of the comparison is, by study name."""
    of_studies = select(studies.c.study_name, studies.c.status, studies.c.n_trials).where(
        studies.c.comparison == comparison
    )
    with store.engine.connect() as connection:
        declared = connection.execute(of_studies).all()
        counts = trial_counts(connection, trials.c.comparison == comparison)
    nothing = StudyProgress()
    return counts | {
        study_name: within(n_trials, status, counts.get(study_name, nothing))
        for study_name, status, n_trials in declared
    }


def trial_counts(connection: Connection, which: ColumnElement[bool]) -> dict[str, StudyProgress]:
    """Numbers of these trials by state and their best value, by study name."""
    query = (
        select(
            trials.c.study_name,
            trials.c.comparison,
            trials.c.state,
            func.count(),
            func.min(trials.c.value),
            func.max(trials.c.value),
        )
        .where(which)
        .group_by(trials.c.study_name, trials.c.comparison, trials.c.state)
    )
    counts: dict[str, dict[str, Any]] = {}  # Any: a count or a score
    rows = connection.execute(query).all()
    lower = minimized(connection, {row.comparison for row in rows})
    for study_name, comparison, state, count, least, greatest in rows:
        study = counts.setdefault(study_name, {})
        study[state] = count
        if least is not None:
            study["best"] = least if comparison in lower else greatest
    return {study_name: StudyProgress(**study) for study_name, study in counts.items()}


def within(n_trials: int, status: str, counts: StudyProgress) -> StudyProgress:
    """The study's counts and budget; all that never ran of a cancelled one is cancelled."""
    if status != CANCELLED:
        return replace(counts, n_trials=n_trials)
    never = n_trials - counts.done - counts.failed
    return replace(counts, n_trials=n_trials, cancelled=never)
