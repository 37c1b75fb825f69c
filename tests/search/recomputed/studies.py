"""Studies that Optuna itself ran and wrote into one SQLite file."""

import math
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

Objective = Callable[[optuna.Trial], float | tuple[float, float]]


class _Unsynced(sqlite3.Connection):
    """A connection that does not wait for the disk at each of Optuna's many commits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("pragma synchronous = off")


def make_studies(url: str) -> None:
    """The studies "accuracies", "losses", "two objectives", "pruned" and "learned"."""
    connecting = {"connect_args": {"factory": _Unsynced}}
    database = optuna.storages.RDBStorage(url, engine_kwargs=connecting)
    storage = optuna.storages.get_storage(database)
    _run(storage, "accuracies", _accuracy, RandomSampler(seed=1), n_trials=60)
    _run(storage, "losses", _loss, RandomSampler(seed=2), n_trials=42, directions=["minimize"])
    _run(
        storage,
        "two objectives",
        _accuracy_and_size,
        RandomSampler(seed=3),
        n_trials=43,
        directions=["maximize", "minimize"],
        enqueued=[{"lr": lr, "width": 64} for lr in (0.01, 0.02, 0.03, 0.04)],
    )
    _run(storage, "pruned", _reported_accuracy, RandomSampler(seed=4), n_trials=10)
    learning = TPESampler(seed=5, n_startup_trials=6, multivariate=True)
    _run(storage, "learned", _reported_accuracy, learning, n_trials=12, enqueued=[{"lr": 0.01}])
    database.remove_session()
    database.engine.dispose()


def _run(
    storage: optuna.storages.BaseStorage,
    name: str,
    objective: Objective,
    sampler: BaseSampler,
    *,
    n_trials: int,
    directions: Sequence[str] = ("maximize",),
    enqueued: Sequence[dict[str, float]] = (),
) -> None:
    """Run a study; the last of the enqueued settings is left waiting."""
    study = optuna.create_study(
        study_name=name, storage=storage, sampler=sampler, directions=list(directions)
    )
    for setting in enqueued[:-1]:
        study.enqueue_trial(setting)
    study.optimize(objective, n_trials=n_trials, catch=ValueError)
    for setting in enqueued[-1:]:
        study.enqueue_trial(setting)


def _accuracy(trial: optuna.Trial) -> float:
    """Of 1,000 images, so that some trials tie."""
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    momentum = trial.suggest_float("momentum", 0.0, 1.0)
    depth = trial.suggest_int("depth", 1, 4)
    return round(0.9 - 0.05 * abs(math.log10(lr) + 2) ** 2 - 0.2 * momentum**4 + 0.01 * depth, 3)


def _loss(trial: optuna.Trial) -> float:
    """With every way in which a trial may end without a sensible loss."""
    lr = trial.suggest_float("lr", 1e-5, 1.0, log=True)
    kind = trial.suggest_categorical("kind", ["sgd", "adam", None])
    loss = 0.2 + abs(math.log10(lr) + 2) * (1.2 if kind == "adam" else 1.0)
    match trial.number:
        case 3 | 17:
            raise ValueError("diverged")
        case 8:
            return math.nan
        case 12:
            return math.inf
        case 13:
            return -math.inf
        case 20 | 31:
            return 1e30
        case _:
            return loss


def _accuracy_and_size(trial: optuna.Trial) -> tuple[float, float]:
    """Too large networks violate a constraint; the second trial, enqueued, is pruned."""
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    width = trial.suggest_int("width", 16, 256, log=True)
    trial.set_constraint("memory", width - 200.0)
    if trial.number == 1:
        raise optuna.TrialPruned
    accuracy = 0.92 - 0.06 * abs(math.log10(lr) + 2) ** 2 - 1 / width
    return accuracy, 0.1 + width / 256 + lr


def _reported_accuracy(trial: optuna.Trial) -> float:
    """What reaches less than 0.6 after one epoch is stopped there."""
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    accuracy = 0.9 - 0.1 * abs(math.log10(lr) + 2) ** 2
    for epoch in (1, 2):
        trial.report(accuracy - 0.1 / epoch, epoch)
        if accuracy < 0.7:
            raise optuna.TrialPruned
    return accuracy
