"""Result folders of Ray Tune: an experiment, or a folder with several of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import TrialState

from tuner.errors import InvalidInput
from tuner.search.foreign.exports.cells import moment_in, number_in, setting_in
from tuner.search.foreign.exports.packed import text_in
from tuner.search.foreign.exports.ray_trials import (
    ERROR,
    PARAMS,
    PROGRESS,
    RESULTS,
    Reported,
    State,
    flattened,
    params_in,
    reported_in,
    states_in,
)
from tuner.search.foreign.exports.runs import Run, Source, study_of_runs
from tuner.search.foreign.record import Direction, StudyRecord
from tuner.wording import count

_STATE = "experiment_state"
_STATES = {
    "TERMINATED": TrialState.COMPLETE,
    "ERROR": TrialState.FAIL,
    "RUNNING": TrialState.RUNNING,
    "PAUSED": TrialState.RUNNING,
    "PENDING": TrialState.WAITING,
}
_ITERATION = "training_iteration"
_OF_RAY = frozenset(
    "date pid hostname node_ip trial_id experiment_id experiment_tag done timestamp "
    "should_checkpoint checkpoint_dir_name time_this_iter_s time_total_s time_since_restore "
    "timesteps_since_restore iterations_since_restore timesteps_total timesteps_this_iter "
    "episodes_total warmup_time trial_log_path restored_from_trial_id".split()
) | {_ITERATION}
"""What Ray adds to each result."""


def recognises(path: Path) -> bool:
    """Whether a path is a folder of Ray's results, or an experiment's state in one."""
    if path.is_dir():
        return bool(_experiments(path))
    return path.name.startswith(_STATE) and path.suffix == ".json"


@contextmanager
def studies_in(path: Path) -> Iterator[Mapping[str, StudyRecord]]:
    """The studies in a folder: one for each experiment, called as its folder is.

    Raises:
        InvalidInput: If a file in it is not as Ray writes it.
    """
    folders = _experiments(path if path.is_dir() else path.parent)
    yield {folder.absolute().name: _study(folder) for folder in folders}


def _experiments(path: Path) -> list[Path]:
    """The folders of experiments: the folder itself, or those right within it."""
    if _is_experiment(path):
        return [path]
    return [each for each in sorted(path.iterdir()) if each.is_dir() and _is_experiment(each)]


def _is_experiment(folder: Path) -> bool:
    return any(folder.glob(f"{_STATE}*.json")) or any(map(_is_trial, _folders(folder)))


def _is_trial(folder: Path) -> bool:
    results = (folder / RESULTS).is_file() or (folder / PROGRESS).is_file()
    return results and (folder / PARAMS).is_file()


def _folders(folder: Path) -> list[Path]:
    return [each for each in sorted(folder.iterdir()) if each.is_dir()]


@dataclass(frozen=True)
class _Trial:
    """A trial by its state, where the experiment has one, and by its folder, where that is."""

    fields: Mapping[str, object]
    folder: Path | None
    reported: Reported

    @property
    def params(self) -> dict[str, object]:
        """What was searched; where Ray does not say what that was, all settings."""
        searched = flattened(self.fields.get("evaluated_params"))
        if searched:
            return searched
        inside = params_in(self.folder) if self.folder is not None else {}
        return inside or flattened(self.fields.get("config"))

    @property
    def state(self) -> TrialState | None:
        """How it ended; None if its status is none of Ray's."""
        status = self.fields.get("status")
        if status is not None:
            return _STATES.get(str(status))
        if self.folder is not None and (self.folder / ERROR).is_file():
            return TrialState.FAIL
        done = bool(self.reported.results) and self.reported.results[-1].get("done")
        return TrialState.COMPLETE if str(done).lower() == "true" else TrialState.RUNNING


def _study(folder: Path) -> StudyRecord:
    experiment = _Experiment.of(folder)
    trials = list(_trials(folder, experiment.states))
    runs = [_run(folder, trial) for trial in trials]
    metrics = list(dict.fromkeys(metric for run in runs for metric in run.results))
    stated = experiment.metric
    source = Source(
        where=str(folder),
        objectives=(stated,) if stated in metrics else (),
        directions=(experiment.mode,) if experiment.mode and stated in metrics else (),
        notes=(
            *(note for trial in trials for note in trial.reported.notes),
            *_unfinished(folder, trials),
        ),
    )
    return study_of_runs(folder.absolute().name, runs, source)


def _unfinished(folder: Path, trials: Sequence[_Trial]) -> tuple[str, ...]:
    """A note on trials of which only their folder is left, and it does not say that they ended."""
    lost = [trial for trial in trials if not trial.fields and trial.state == TrialState.RUNNING]
    if not lost:
        return ()
    return (
        f"{folder}: {count(len(lost), 'trial counts', 'trials count')} as running: there is no "
        f"{_STATE}-*.json, and no result says that the end was reached",
    )


@dataclass(frozen=True)
class _Experiment:
    """What the states of an experiment say; a folder has several after it was resumed.

    Args:
        states: Identifier of each trial -> its newest state.
        metric: What was optimized; empty where it is not said.
        mode: In which direction; None where it is not said.
    """

    states: Mapping[str, State]
    metric: str = ""
    mode: Direction | None = None

    @classmethod
    def of(cls, folder: Path) -> "_Experiment":
        states: dict[str, State] = {}
        metric, mode = "", None
        for path in sorted(folder.glob(f"{_STATE}*.json")):
            try:
                content = json.loads(text_in(path))
                states |= {state.trial_id: state for state in states_in(content)}
                runner = content.get("runner_data") or {}
            except InvalidInput:
                raise
            except (ValueError, AttributeError) as error:
                raise InvalidInput(
                    f"experiment {path}: is not as Ray writes it ({error}); copy it afresh, or "
                    "remove it: then the trials' folders alone are read"
                ) from error
            metric = str(runner.get("_metric") or metric)
            mode = _DIRECTIONS.get(str(runner.get("_mode")), mode)
        return cls(states, metric, mode)


_DIRECTIONS: Mapping[str, Direction] = {"max": "maximize", "min": "minimize"}


def _trials(folder: Path, states: Mapping[str, State]) -> Iterator[_Trial]:
    """All trials; one that was started anew, with the same identifier, once."""
    by_name = {each.name: each for each in _folders(folder)}
    known: set[str] = set()
    for state in states.values():
        inside = by_name.get(state.folder)
        known.add(state.folder)
        reported = reported_in(inside) if inside is not None else Reported(())
        if not reported.results:
            last = flattened(state.fields.get("last_result"))
            reported = Reported((last,) if last else (), reported.notes)
        yield _Trial(state.fields, inside, reported)
    seen: dict[str, _Trial] = {}
    for name, inside in by_name.items():
        if name not in known and _is_trial(inside):
            reported = reported_in(inside)
            trial_id = reported.results[-1].get("trial_id") if reported.results else None
            if trial_id not in states:
                seen[str(trial_id or name)] = _Trial({}, inside, reported)
    yield from seen.values()


def _run(folder: Path, trial: _Trial) -> Run:
    state = trial.state
    if state is None:
        raise InvalidInput(
            f"experiment {folder}: trial {trial.fields.get('trial_id')}: status must be one of "
            f"{', '.join(_STATES)}, got {trial.fields.get('status')!r}; correct its state"
        )
    history: dict[str, dict[int, float]] = {}
    last: dict[str, float] = {}
    for position, result in enumerate(trial.reported.results, start=1):
        step = number_in(result.get(_ITERATION))
        at = int(step) if step is not None and step.is_integer() else position
        for metric, value in _metrics(result).items():
            history.setdefault(metric, {})[at] = last[metric] = value
    return Run(
        state=state,
        params={name: setting_in(value) for name, value in trial.params.items()},
        results=last,
        history=history,
        start=moment_in(_start(trial)),
        complete=moment_in(_end(trial)),
    )


def _metrics(result: Mapping[str, object]) -> dict[str, float]:
    found = {}
    for name, value in result.items():
        number = number_in(value)
        if name not in _OF_RAY and not name.startswith("config/") and number is not None:
            found[name] = number
    return found


def _start(trial: _Trial) -> float | None:
    """When it began, in seconds after 1970: as Ray kept it, else from its first result."""
    kept = number_in(trial.fields.get("start_time"))
    if kept or not trial.reported.results:
        return kept
    first = trial.reported.results[0]
    at, took = number_in(first.get("timestamp")), number_in(first.get("time_total_s"))
    return at - took if at is not None and took is not None else None


def _end(trial: _Trial) -> object:
    """When its last result came; Ray notes the whole second, which may lie before the start."""
    if not trial.reported.results:
        return None
    last, began = trial.reported.results[-1], _start(trial)
    at, took = number_in(last.get("timestamp")), number_in(last.get("time_total_s"))
    if at is None or took is None or began is None:
        return at
    return max(at, began + took)
