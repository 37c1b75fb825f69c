"""How many trials to train as one program: measured once for each workload and machine."""

import dataclasses
import hashlib
import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import torch

from tuner import config, kernels
from tuner.errors import DeviceTooSmall
from tuner.machine import instruction_line
from tuner.rules import Setting
from tuner.train.precision import activation_dtype
from tuner.train.run import Run
from tuner.train.threads import one_thread
from tuner.trial import TrialConfig
from tuner.workload import Workload

MOST_TOGETHER = {"cpu": 64, "cuda": 1024}
"""Trials of one batch at most, by type of device; powers of two."""

_LONG_STEP_SECONDS = 0.05
"""A step this long gains nothing from more trials: it is arithmetic and memory already."""

_GAIN = 1.05
"""Doubling the trials must speed them up this much, or it ends there."""

_MEASURE_SECONDS = 0.05
_SETTINGS: dict[str, Setting] = {"alpha": 1e-2, "gamma": 0.1}
_IRRELEVANT = ("epochs", "n_train", "split_seed", "real_learning_rate")


def trials_per_batch(workload: Workload, device: str) -> int:
    """K, the number of trials of a workload to train at once on a device.

    Steps of 1, 2, 4, ... trials are timed until more trials no longer finish faster; the answer
    is kept in the cache folder, so that all workers of a machine, now and later, make the same
    batches. A processor gains where one step is short (small fully connected networks), a GPU
    wherever a step does not fill it.

    Args:
        workload: What is trained.
        device: A torch device.

    Raises:
        DeviceTooSmall: If a single trial does not fit in the device's memory.
        InvalidInput: If data and network do not fit each other.
        DataMissing: If the data set is not there.
    """
    about = _about(workload, torch.device(device))
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:20]
    kept = config.cache_dir() / f"trials-per-batch-{name}.json"
    with suppress(OSError):
        try:
            return _read(kept)
        except (ValueError, KeyError, TypeError):
            kept.unlink()  # not an answer
    with one_thread():
        best, speeds = _measure(workload, torch.device(device))
    with suppress(OSError):  # without a cache folder every process measures for itself
        return _keep(kept, {"trials": best, "steps_per_second": speeds, "measured_on": about})
    return best


def _measure(workload: Workload, device: torch.device) -> tuple[int, dict[int, float]]:
    """The largest batch that paid, and what was measured: trials -> steps per second of them all.

    A batch pays if it is ``_GAIN`` faster than the best smaller one; after two in a row that do
    not, the search ends.
    """
    speeds: dict[int, float] = {}
    best = 1
    for k in (2**i for i in range(MOST_TOGETHER[device.type].bit_length())):
        try:
            seconds = _step_seconds(workload, k, device)
        except torch.OutOfMemoryError:
            if k == 1:
                raise DeviceTooSmall(
                    f"one trial of this workload does not fit in the memory of {device}; "
                    "train it on the cpu, or make batch_size or the widths smaller"
                ) from None
            break
        speeds[k] = k / seconds
        if k == 1 or speeds[k] > _GAIN * speeds[best]:
            best = k
        if k > 2 * best or seconds > _LONG_STEP_SECONDS:
            break
    return best, speeds


def _step_seconds(workload: Workload, k: int, device: torch.device) -> float:
    """The time of one training step of k trials, the least of several, after two to warm up."""
    run = Run(workload, [TrialConfig("filter_flip", _SETTINGS, seed) for seed in range(k)], device)
    images, labels = next(iter(run.batches.epoch(list(range(k)), 1)))
    for _ in range(2):
        run.step(images, labels).tolist()
    times: list[float] = []
    while len(times) < 3 or sum(times) < _MEASURE_SECONDS:
        start = time.perf_counter()
        run.step(images, labels).tolist()  # waits for the device
        times.append(time.perf_counter() - start)
    return min(times)


def _about(workload: Workload, device: torch.device) -> dict[str, object]:
    """All that the answer depends on."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else instruction_line()
    shape = {
        name: value
        for name, value in dataclasses.asdict(workload).items()
        if name not in _IRRELEVANT
    }
    return {
        "workload": shape,
        "device": device.type,
        "processor": where,
        "torch": torch.__version__,
        "kernels": kernels.library() is not None,
        "precision": str(activation_dtype(workload, device)),
    }


def _keep(file: Path, answer: dict[str, object]) -> int:
    """Write the answer, unless another process wrote one meanwhile; returns the kept one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
        written = Path(scratch, file.name)
        written.write_text(json.dumps(answer, indent=1), encoding="utf-8")
        with suppress(FileExistsError):
            os.link(written, file)
    return _read(file)


def _read(file: Path) -> int:
    trials = int(json.loads(file.read_text(encoding="utf-8"))["trials"])
    if not 1 <= trials <= max(MOST_TOGETHER.values()):
        raise ValueError(f"{file}: {trials} trials")
    return trials
