"""Runs of MLflow, wherever they were kept, as studies: one for each experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from optuna.trial import TrialState

from tuner.errors import InvalidInput
from tuner.search.foreign.exports.cells import Setting
from tuner.search.foreign.exports.runs import Run, Source, study_of_runs
from tuner.search.foreign.record import StudyRecord

PARENT = "mlflow.parentRunId"
"""The tag of a nested run that names the run it is nested in."""

_STATES = {
    "1": TrialState.RUNNING,
    "2": TrialState.WAITING,
    "3": TrialState.COMPLETE,
    "4": TrialState.FAIL,
    "5": TrialState.FAIL,
    "RUNNING": TrialState.RUNNING,
    "SCHEDULED": TrialState.WAITING,
    "FINISHED": TrialState.COMPLETE,
    "FAILED": TrialState.FAIL,
    "KILLED": TrialState.FAIL,
}
"""By the words of its tables, and the numbers of its files."""


@dataclass(frozen=True)
class TrackedRun:
    """A run of MLflow's.

    Args:
        run_id: Its identifier.
        experiment: The name of its experiment.
        status: As MLflow writes it, in words or as a number.
        params: Name of each parameter -> its value.
        metrics: Name of each metric -> its last value.
        history: Name of each metric -> step -> value, where it is known.
        parent: The identifier of the run that it is nested in; None where there is none.
        start: When it began.
        end: When it ended.
    """

    run_id: str
    experiment: str
    status: str
    params: Mapping[str, Setting]
    metrics: Mapping[str, float]
    history: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    parent: str | None = None
    start: datetime | None = None
    end: datetime | None = None


def studies_of(runs: Sequence[TrackedRun], source: Source) -> dict[str, StudyRecord]:
    """Name of each experiment -> its runs. A run that only holds others together is none of them.

    Raises:
        InvalidInput: If a status is none of MLflow's.
    """
    parents = {run.parent for run in runs if run.parent}
    trials = [run for run in runs if run.metrics or run.run_id not in parents]
    return {
        experiment: study_of_runs(
            experiment,
            [_trial(run, source.where) for run in trials if run.experiment == experiment],
            source,
        )
        for experiment in dict.fromkeys(run.experiment for run in trials)
    }


def milliseconds(since_1970: float | None) -> datetime | None:
    """The moment so many milliseconds after 1970 began, in UTC; None for none."""
    return datetime.fromtimestamp(since_1970 / 1000, UTC) if since_1970 else None


def _trial(run: TrackedRun, where: str) -> Run:
    written = run.status.strip().upper()
    state = _STATES.get(written.rpartition(".")[2])
    if state is None:
        words = ", ".join(name for name in _STATES if not name.isdigit())
        raise InvalidInput(
            f"MLflow's runs {where}: run {run.run_id}: status must be one of {words}, got "
            f"{run.status!r}; correct it or remove the run"
        )
    return Run(
        state=state,
        params=run.params,
        results=run.metrics,
        history=run.history,
        start=run.start,
        complete=run.end,
    )
