"""Runs of MLflow, wherever they were kept, as studies: one for each experiment."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from tuner.errors import InvalidInput
from tuner.search.foreign.exports.cells import Setting
from tuner.search.foreign.exports.distributions import printed_distribution
from tuner.search.foreign.exports.runs import Run, Source, study_of_runs
from tuner.search.foreign.record import Direction, StudyRecord

_PARENT = "mlflow.parentRunId"
"""The tag of a nested run that names the run it is nested in."""

_DISTRIBUTION = "_distribution"
"""The end of a tag in which Optuna's MLflowCallback says what a parameter was drawn from."""

_OF_OPTUNA = {"number", "direction"}
"""Tags of every run that Optuna's MLflowCallback wrote."""

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
        tags: Name of each tag -> its text.
        start: When it began.
        end: When it ended.
    """

    run_id: str
    experiment: str
    status: str
    params: Mapping[str, Setting]
    metrics: Mapping[str, float]
    history: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    start: datetime | None = None
    end: datetime | None = None


def studies_of(runs: Sequence[TrackedRun], source: Source) -> dict[str, StudyRecord]:
    """Name of each experiment -> its runs. A run that only holds others together is none of them.

    Raises:
        InvalidInput: If a status is none of MLflow's.
    """
    parents = {run.tags[_PARENT].strip() for run in runs if _PARENT in run.tags}
    trials = [run for run in runs if run.metrics or run.run_id not in parents]
    return {
        experiment: _study([run for run in trials if run.experiment == experiment], source)
        for experiment in dict.fromkeys(run.experiment for run in trials)
    }


def _study(runs: Sequence[TrackedRun], source: Source) -> StudyRecord:
    """The runs of one experiment as trials, with what Optuna's MLflowCallback says of them."""
    trials = [_trial(run, source.where) for run in runs]
    if len({trial.number for trial in trials}) < len(trials):
        trials = [replace(trial, number=None) for trial in trials]
    directions = {_directions(run) for run in runs}
    metrics = {metric for run in runs for metric in run.metrics}
    if len(directions) == 1:
        said = directions.pop()
        if len(said) == len(metrics) and len(set(said)) == 1:  # else whose which is is not known
            source = replace(source, directions=said)
    return study_of_runs(runs[0].experiment, trials, source)


def _directions(run: TrackedRun) -> tuple[Direction, ...]:
    """The directions that Optuna's MLflowCallback noted, in its order of the objectives."""
    if not _OF_OPTUNA.issubset(run.tags):
        return ()
    words = re.findall("minimize|maximize", run.tags["direction"].lower())
    return tuple("minimize" if word == "minimize" else "maximize" for word in words)


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
    if not _OF_OPTUNA.issubset(run.tags):
        return Run(state, run.params, run.metrics, run.history, run.start, run.end)
    ended = run.tags.get("state", "").rpartition(".")[2]  # MLflow knows of no pruned runs
    number = run.tags["number"].strip()
    distributions: dict[str, BaseDistribution] = {}
    for name, text in run.tags.items():
        if name.endswith(_DISTRIBUTION):
            kind = printed_distribution(text)
            if kind is None:  # MLflow cuts long ones off: then all are as the values seen
                distributions.clear()
                break
            distributions[name.removesuffix(_DISTRIBUTION)] = kind
    return Run(
        state=TrialState[ended] if ended in TrialState.__members__ else state,
        params=run.params,
        results=run.metrics,
        history=run.history,
        start=run.start,
        complete=run.end,
        number=int(number) if number.isdecimal() else None,
        distributions=distributions,
    )
