"""How many trials to train as one program: measured for each workload and machine.

The answer is kept, and real batches are held against it: it is measured a second time once some
were trained, and again whenever their steps keep taking another time than it promised.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from statistics import median
from typing import Any

import torch
from torch import Tensor

from tuner import kernels
from tuner.bnn.own_network import trains_alone
from tuner.machine import instruction_line
from tuner.measured import Kept
from tuner.named import code_version
from tuner.rules import Setting
from tuner.signals import stop_if_asked
from tuner.train.memory import fitting, shortage, too_small
from tuner.train.precision import activation_dtype
from tuner.train.run import Run
from tuner.train.signs.ways import ways
from tuner.train.threads import one_thread
from tuner.trial import EpochReport, TrialConfig
from tuner.workload import CAME_LATER, Workload

MOST_TOGETHER = {"cpu": 64, "cuda": 1024}
"""Trials of one batch at most, by type of device; powers of two."""

_LONG_STEP_SECONDS = 0.05
"""A step this long gains nothing from more trials: it is arithmetic and memory already."""

_GAIN = 1.03
"""Doubling the trials must speed them up this much, or it ends there."""

_ROUNDS = 3
"""So often each number of trials is timed, in turns: what disturbs one round leaves the others."""

_MEASURE_SECONDS = 0.05

_BATCHES = 5
"""So many real batches in a row must disagree with what was measured."""

_SLOWER, _FASTER = 1.6, 0.75
"""Their steps' time beside the promised one, from which on they do: a neighbour costs a part."""

_WORTH = 10.0
"""Real batches must have taken this many times the time of measuring, twice that the next time."""

_KIND = "trials-per-batch"
_UNCONFIRMED = "measured once only"
_SETTINGS: dict[str, Setting] = {"alpha": 1e-2, "gamma": 0.1}
_IRRELEVANT = (
    "epochs",
    "real_epochs",
    "n_train",
    "split_seed",
    "real_learning_rate",
    "metric",
    "direction",
)
_ANY = object()


@dataclass(frozen=True)
class Chosen:
    """What was measured, and what real batches took since.

    Args:
        trials: K, of a batch.
        steps_per_second: Trials of a batch -> steps of them all in a second of computing.
        measured_at: When, each time, oldest first; UTC.
        seconds: How long it took last.
        load: What else ran on the machine then, as the system's mean over a minute; None where it
            does not say.
        ratios: The last real batches' time of a step, as a part of the promised one.
        trained_seconds: Of all real batches since.
        doubt: Why it is to be measured again; empty if it is not.
    """

    trials: int
    steps_per_second: Mapping[int, float]
    measured_at: tuple[str, ...]
    seconds: float
    load: float | None = None
    ratios: tuple[float, ...] = ()
    trained_seconds: float = 0.0
    doubt: str = ""

    @classmethod
    def of(cls, answer: Any) -> "Chosen":  # Any: JSON
        """As it was written; raises ValueError, KeyError or TypeError for what is no answer."""
        trials = int(answer["trials"])
        if not 1 <= trials <= max(MOST_TOGETHER.values()):
            raise ValueError(f"{trials} trials")
        speeds = {int(k): float(speed) for k, speed in answer["steps_per_second"].items()}
        if not all(speed > 0 for speed in speeds.values()):
            raise ValueError(f"not steps per second: {speeds}")
        load = answer["load"]
        return cls(
            trials,
            speeds,
            tuple(map(str, answer["measured_at"])),
            float(answer["seconds"]),
            None if load is None else float(load),
            tuple(map(float, answer["ratios"])),
            float(answer["trained_seconds"]),
            str(answer["doubt"]),
        )

    def step_seconds(self, n_trials: int) -> float | None:
        """The promised time of a step of so many trials; None beyond what was measured."""
        seconds = {k: k / speed for k, speed in sorted(self.steps_per_second.items())}
        below = max((k for k in seconds if k <= n_trials), default=0)
        above = min((k for k in seconds if k >= n_trials), default=0)
        if not below or not above:
            return None
        share = (n_trials - below) / (above - below) if above > below else 0.0
        return seconds[below] + share * (seconds[above] - seconds[below])

    def after(self, n_trials: int, step_seconds: float, trained_seconds: float) -> "Chosen":
        """The same once a batch of so many trials was trained."""
        promised = self.step_seconds(n_trials)
        if promised is None or self.doubt:
            return self
        ratios = (*self.ratios, step_seconds / promised)[-_BATCHES:]
        trained = self.trained_seconds + trained_seconds
        worth = _WORTH * self.seconds * 2 ** (len(self.measured_at) - 1)
        doubt = ""
        if len(ratios) == _BATCHES and trained >= worth:
            if min(ratios) > _SLOWER or max(ratios) < _FASTER:
                doubt = f"steps of {_BATCHES} batches took {median(ratios):.2f} of their time"
            elif len(self.measured_at) == 1:
                doubt = _UNCONFIRMED
        return dataclasses.replace(self, ratios=ratios, trained_seconds=trained, doubt=doubt)


def trials_per_batch(workload: Workload, device: str) -> int:
    """K, the number of trials of a workload to train at once on a device.

    One, where the network is the user's and has no trial axis.

    Steps of 1, 2, 4, ... trials are timed until more trials no longer finish faster; the answer
    is kept in the cache folder, so that all workers of a machine make the same batches, until
    real ones cast doubt on it (``Watched``). A processor gains where one step is short (small
    fully connected networks), a GPU wherever a step does not fill it.

    Args:
        workload: What is trained.
        device: A torch device.

    Raises:
        DeviceTooSmall: If a single trial does not fit in the device's memory.
        InvalidInput: If data and network do not fit each other.
        DataMissing: If the data set is not there.
        Interrupted: If the answer is not wanted any more; see ``signals.stoppable``.
    """
    if trains_alone(workload):
        return 1
    place = torch.device(device)
    with fitting(workload, 1, place.type):
        kept = Kept(_KIND, _about(workload, place))
    before = kept.answer(Chosen.of)
    if before is not None and not before.doubt:
        return before.trials
    measured = _measure(workload, place, before)
    now = kept.answer(Chosen.of)
    if now == before:  # or another process has just measured
        kept.write(asdict(measured), instead=before is not None)
        now = kept.answer(Chosen.of)
    return measured.trials if now is None else now.trials


def chosen(workload: Workload, device: str) -> Mapping[str, object]:
    """How many trials were measured to pay together, when, and beside what; for a record.

    Nothing where nothing is kept.
    """
    if trains_alone(workload):
        return {}
    answer = Kept(_KIND, _about(workload, torch.device(device))).answer(Chosen.of)
    if answer is None:
        return {}
    measured = {name: getattr(answer, name) for name in ("trials", "measured_at", "load")}
    return {**measured, "measured_at": list(answer.measured_at)}


class Watched:
    """``on_epoch`` of a real batch: notes how long its steps take, for ``note``.

    Args:
        n_trials: How many are trained together, until some leave.
        on_epoch: Called with every report.
    """

    def __init__(self, n_trials: int, on_epoch: Callable[[EpochReport], Collection[int]]) -> None:
        self._n_trials = n_trials
        self._on_epoch = on_epoch
        self._step_seconds: list[float] = []
        self._seconds = 0.0

    def __call__(self, report: EpochReport) -> Collection[int]:
        """Look at an epoch that was trained."""
        self._seconds += sum(report.seconds)
        if len(report.trials) == self._n_trials and report.step_seconds is not None:
            self._step_seconds.append(report.step_seconds)
        return self._on_epoch(report)

    def note(self, workload: Workload, device: str) -> None:
        """Hold the batch against what was measured, where anything is kept.

        If doubt arises it is measured again by whoever next asks how many trials to train.
        """
        if not self._step_seconds or trains_alone(workload):
            return
        kept = Kept(_KIND, _about(workload, torch.device(device)))
        answer = kept.answer(Chosen.of)
        if answer is None:
            return
        after = answer.after(self._n_trials, min(self._step_seconds), self._seconds)
        if after != answer:
            kept.write(asdict(after), instead=True)


def _measure(workload: Workload, device: torch.device, before: Chosen | None) -> Chosen:
    """The largest batch that paid, from what is measured now.

    What was measured before counts too if it only had to be confirmed: of each number of trials
    the faster time, since what disturbs makes slower.
    """
    workload = dataclasses.replace(workload, real_epochs=0)
    began, load = time.monotonic(), _load()
    with one_thread():
        speeds = _first_round(workload, device)
        for _ in range(_ROUNDS - 1):
            for k in speeds:
                speeds[k] = max(speeds[k], k / _step_seconds(workload, k, device))
    if before is not None and before.doubt == _UNCONFIRMED:
        for k, speed in before.steps_per_second.items():
            speeds[k] = max(speed, speeds.get(k, 0.0))
    times = () if before is None else before.measured_at
    return Chosen(
        _best(speeds),
        speeds,
        (*times, datetime.now(UTC).isoformat(timespec="seconds")),
        time.monotonic() - began,
        load,
    )


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _best(speeds: Mapping[int, float]) -> int:
    """A batch pays if it is ``_GAIN`` faster than the best smaller one."""
    best = 1
    for k, speed in sorted(speeds.items()):
        if speed > _GAIN * speeds[best]:
            best = k
    return best


def _first_round(workload: Workload, device: torch.device) -> dict[int, float]:
    """Trials -> steps per second of them all; it ends after two in a row that do not pay."""
    speeds: dict[int, float] = {}
    for k in (2**i for i in range(MOST_TOGETHER[device.type].bit_length())):
        try:
            seconds = _step_seconds(workload, k, device)
        except torch.OutOfMemoryError as error:
            if k == 1:
                raise too_small(workload, 1, device.type, str(error)) from None
            break
        speeds[k] = k / seconds
        if k > 2 * _best(speeds) or seconds > _LONG_STEP_SECONDS:
            break
    return speeds


def _step_seconds(workload: Workload, k: int, device: torch.device) -> float:
    """The time of a training step of k trials and its data, the least after two to warm up."""
    trials = [TrialConfig("filter_flip", _SETTINGS, seed) for seed in range(k)]
    times: list[float] = []
    with shortage():
        run = Run(workload, trials, device)
        batches = _endless(run)
        while len(times) < 5 or sum(times[2:]) < _MEASURE_SECONDS:
            stop_if_asked()
            start = run.clock()
            run.step(*next(batches)).tolist()  # waits for the device
            times.append(run.clock() - start)
    return min(times[2:])


def _endless(run: Run) -> Iterator[tuple[Tensor, ...]]:
    for epoch in count(1):
        yield from run.batches.epoch(range(len(run.trials)), epoch)


def _about(workload: Workload, device: torch.device) -> dict[str, object]:
    """All that the answer depends on."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else instruction_line()
    shape = {
        name: value
        for name, value in dataclasses.asdict(workload).items()
        if name not in _IRRELEVANT and value != CAME_LATER.get(name, _ANY)
    }
    dtype = activation_dtype(workload, device)
    own = {"code": code_version(workload)} if workload.functions else {}
    return {
        **own,
        "timed": "steps with their data",
        "workload": shape,
        "device": device.type,
        "processor": where,
        "torch": torch.__version__,
        "kernels": kernels.library() is not None,
        "precision": str(dtype),
        "signs": asdict(ways(workload, device, dtype)),
    }
