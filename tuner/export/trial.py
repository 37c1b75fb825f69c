"""The network of a finished trial: trained again, bit for bit where the machine is alike.

What a trial's weights were is not kept: thousands are trained, and few are taken home. All that
decided them is, so the same training gives them again.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from optuna.trial import FrozenTrial, TrialState

from tuner import config
from tuner.bnn.data.dataset import load_data
from tuner.errors import InvalidInput, NotFound
from tuner.export.evaluating import classified
from tuner.export.reading.walking import Samples, walked
from tuner.graphs.graph import Graph
from tuner.graphs.running import run
from tuner.rules import Setting
from tuner.search.database.finished import finished_trials, run_of
from tuner.search.database.store import Store
from tuner.search.declared.spaces import suggest
from tuner.search.declared.study_spec import StudySpec
from tuner.search.watch import views
from tuner.train import EpochReport, Keep, TrialConfig, TrialResult, conditions, trained_network
from tuner.train.batches import Batches
from tuner.train.precision import activation_dtype
from tuner.workload import ACCURACY, Objective, Workload

OnEpoch = Callable[[EpochReport], None]


@dataclass(frozen=True)
class Trained:
    """A trial's network, and what is to be said of it.

    Args:
        graph: The network.
        about: For its card.
    """

    graph: Graph
    about: Mapping[str, Any]  # Any: JSON


_DIGITS = 19
"""So many no number of a trial has: databases count to 2^63."""


def number_of(store: Store, trial: str) -> int:
    """The number of the trial that is meant: itself, or the best of a study of that name.

    Raises:
        NotFound: If there is none.
    """
    if trial.isdecimal() and len(trial) < _DIGITS:
        return int(trial)
    best = views.best_trials(store, trial, 1)
    if not best:
        raise NotFound(
            f"{trial!r} is neither the number of a trial nor a study with a finished one (a study "
            "is called COMPARISON/ARM, and what was trained afresh COMPARISON/ARM/retrain)"
        )
    return best[0].trial_id


def network_of(
    store: Store,
    trial_id: int,
    on_epoch: OnEpoch,
    *,
    device: str = "cpu",
    stopping: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train a finished trial again, and read its network.

    Training is kept as a worker keeps it: interrupted, the same call goes on with it.

    Args:
        store: The database.
        trial_id: Which trial.
        on_epoch: Hears of each epoch.
        device: A torch device.
        stopping: Asked after every epoch; once true, the training is kept and ends.

    Raises:
        NotFound: If there is no such trial.
        InvalidInput: If it has no trained network, or one that cannot be exported; says why.
        DataMissing: If its data are not there.
        Interrupted: If it was told to stop.
    """
    row, trial = views.get_trial(store, trial_id)
    study = store.study(row.study_name)
    workload = _workload_of(study, trial, trial_id)
    _check_teacher(workload, trial, device)
    company, place, leaving = _company(store, study, trial, row.position)

    def hear(report: EpochReport) -> Collection[int]:
        on_epoch(report)
        return leaving.get(report.epoch, ())

    network, result = trained_network(
        workload,
        company,
        place,
        hear,
        device=device,
        keep=Keep(config.checkpoint_dir(), stopping),
    )
    graph = walked(network.cpu(), samples_taken(workload, device))
    about = {
        "trial": {
            "number": trial_id,
            "study": row.study_name,
            "position": row.position,
            "seed": company[place].seed,
        },
        "rule": company[place].rule,
        "settings": _jsonable(company[place].settings),
        "filter": run_of(trial).get("filter"),
        "workload": _jsonable(asdict(workload)),
        "data": asdict(load_data(workload).counts),
        "trained": {
            **conditions(workload, device),
            "epochs": len(result.curve),
            "as_recorded": _as_recorded(result, trial),
        },
        "accuracy": _accuracy(graph, workload, result, trial),
    }
    return Trained(graph, about)


def _check_teacher(workload: Workload, trial: FrozenTrial, device: str) -> None:
    """Refuse to train by another teacher than the trial had."""
    if not workload.teacher:
        return
    then, now = run_of(trial).get("code"), conditions(workload, device).get("code")
    if then != now:
        raise InvalidInput(
            f"export: the trial was trained by {then}, and {workload.teacher} is {now} now; put "
            "back the file that it had"
        )


def _workload_of(study: StudySpec, trial: FrozenTrial, trial_id: int) -> Workload:
    """What the trial trained.

    Raises:
        InvalidInput: If it has no network of which the weights can be had.
    """
    if isinstance(study.workload, Objective):
        raise InvalidInput(
            f"trial {trial_id} was trained by {study.workload.objective}, which alone knows its "
            "network; export it there, with tuner.export.write(FILE, network, shape)"
        )
    if not trial.state.is_finished():
        raise InvalidInput(f"trial {trial_id} has not ended; export it when it has")
    if trial.state == TrialState.COMPLETE and not trial.user_attrs.get("diverged"):
        if run_of(trial):
            return study.workload
        raise InvalidInput(
            f"trial {trial_id} was ended from outside and never trained, so it has no network; "
            "export another trial"
        )
    how = {TrialState.FAIL: "failed", TrialState.PRUNED: "was pruned"}.get(trial.state, "diverged")
    raise InvalidInput(
        f"trial {trial_id} {how}, so it has no trained network; train its settings to the end "
        "with: tuner train --set NAME=VALUE, or export another trial"
    )


def _company(
    store: Store, study: StudySpec, trial: FrozenTrial, position: int
) -> tuple[list[TrialConfig], int, dict[int, list[int]]]:
    """The batch that the trial was trained in, its place, and who left after which epoch.

    How large a batch is decides how sums are rounded, so copies of the trial stand for the others
    and leave where those were pruned.
    """
    space = study.arm.space
    settings: Mapping[str, Setting] = (
        space.setting if study.arm.sampler == "defaults" else suggest(space, trial)
    )
    this = TrialConfig(space.rule, settings, study.trial_seed(position))
    size = run_of(trial).get("batch", 1)
    batch = study.batch_at(position, size)
    if len(batch) != size:
        return [this] * size, 0, {}
    leaving: dict[int, list[int]] = {}
    for other in finished_trials(store, study.study_name):
        index = other.user_attrs.get("index", -1)
        if other.state == TrialState.PRUNED and index in batch:
            epochs = len(run_of(other).get("curve", {}).get("epoch", ()))
            leaving.setdefault(epochs, []).append(index - batch.start)
    return [this] * size, position - batch.start, leaving


def samples_taken(workload: Workload, device: str) -> Samples:
    """What the network takes, as the training gave it."""
    data = load_data(workload)
    dtype = activation_dtype(workload, torch.device(device))
    batches = Batches(data, workload, dtype=dtype)
    precision = str(dtype).removeprefix("torch.")
    if not data.scaled:
        return Samples(data.shape, precision=precision)
    return Samples(data.shape, batches.scale, batches.shift, precision)


def _as_recorded(result: TrialResult, trial: FrozenTrial) -> bool:
    """Whether every epoch gave the score that the trial's record has."""
    recorded = run_of(trial).get("curve", {}).get("val_accuracy")
    return bool([point.val_accuracy for point in result.curve] == recorded)


def _accuracy(
    graph: Graph, workload: Workload, result: TrialResult, trial: FrozenTrial
) -> dict[str, Any]:
    """How good the network is: as trained, and in float32, as other software runs it."""
    scores = {
        "metric": workload.unit,
        "validation": result.val_accuracy,
        "validation_recorded": trial.value,
        "test": result.test_accuracy,
        "test_recorded": trial.user_attrs.get("test_accuracy"),
    }
    if workload.metric != ACCURACY:
        return scores
    test = load_data(workload).test
    ours, float32 = (
        classified(lambda samples: run(graph, samples, precision), test, "torch")  # noqa: B023  # called at once
        for precision in (graph.precision, "float32")
    )
    return {
        **scores,
        "test_samples": len(test),
        "test": ours.accuracy,
        "test_float32": float32.accuracy,
        "others_in_float32": int((ours.predicted != float32.predicted).sum()),
    }


def _jsonable(value: Any) -> Any:  # Any: JSON, with infinity
    """The value with infinity as a word: JSON has none."""
    if isinstance(value, Mapping):
        return {key: _jsonable(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [_jsonable(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
