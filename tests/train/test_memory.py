"""Memory that is too small: a network that cannot fit is not made, and what ran out is said."""

import re
from dataclasses import replace

import pytest
import torch

from tuner import kernels, machine
from tuner.errors import DeviceTooSmall
from tuner.train import TrialConfig, check, fuse, loop, memory, run, train, trials_per_batch
from tuner.train.memory import BYTES_PER_WEIGHT, check_memory, fitting, in_bytes, shortage
from tuner.train.signs import sizes
from tuner.workload import Workload
from tuner.workload.weights import n_weights

WORKLOAD = Workload(widths=(8, 8), epochs=2, batch_size=32, n_train=64, precision="float64")
ABSURD = replace(WORKLOAD, widths=(8192,) * 100)
TRIALS = [TrialConfig("filter_flip", {}, seed) for seed in range(4)]
CPU = torch.device("cpu")


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A machine with 50 MB left, on which nothing large may be made."""
    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernels, "library", lambda: None)  # they would be compiled anew
    monkeypatch.setattr(machine, "free_memory", lambda: 50_000_000)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: torch.empty(2**61, dtype=torch.uint8),
        lambda: bytearray(2**61),
    ],
)
def test_memory_of_the_machine_runs_out_as_that_of_a_gpu_does(ask):
    with pytest.raises(torch.OutOfMemoryError, match="asked for"), shortage():
        ask()


def test_the_size_that_was_asked_for_is_named():
    with pytest.raises(torch.OutOfMemoryError, match=r"^2,305,843,009\.2 GB more were asked for$"):
        with shortage():
            torch.empty(2**61, dtype=torch.uint8)


def test_what_else_goes_wrong_stays_as_it_is():
    for error in (RuntimeError("no"), ValueError("can't allocate memory"), KeyError()):
        with pytest.raises(type(error)) as raised, shortage():
            raise error
        assert raised.value is error
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    with pytest.raises(torch.OutOfMemoryError) as raised, shortage():
        raise full
    assert raised.value is full


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("n_trials", [1, 3])
def test_weights_that_cannot_fit_are_refused_before_they_are_made(n_trials, monkeypatch):
    shape = (1, 8, 8)
    fits = 50_000_000 // (BYTES_PER_WEIGHT * n_trials)
    width = next(w for w in range(1, 9999) if n_weights(_wide(w), shape, 10) > fits)
    check_memory(_wide(width - 1), shape, 10, n_trials=n_trials, device=CPU)
    with pytest.raises(torch.OutOfMemoryError, match=r"weights take 50\.\d MB at least"):
        check_memory(_wide(width), shape, 10, n_trials=n_trials, device=CPU)
    monkeypatch.setattr(run, "build_network", None)
    with pytest.raises(torch.OutOfMemoryError):
        run.Run(_wide(width), TRIALS[:n_trials], CPU)


def _wide(width: int) -> Workload:
    return replace(WORKLOAD, widths=(width, width))


@pytest.mark.usefixtures("small")
def test_who_asks_hears_of_an_absurd_network_at_once_what_it_takes_and_what_to_do(monkeypatch):
    for module in (loop, run, sizes):  # it would take 53 GB
        monkeypatch.setattr(module, "build_network", None)
    words = re.escape(
        "1 trial of mlp at batch_size 32 did not fit in the memory of this machine, of which "
        "50.0 MB are free (6,646,022,154 weights take 53.2 GB at least with gradients and state); "
        "make the widths or batch_size smaller, or run fewer worker processes"
    )
    for ask in (check, lambda workload: trials_per_batch(workload, "cpu")):
        with pytest.raises(DeviceTooSmall, match=f"^{words}$"):
            ask(ABSURD)


@pytest.mark.usefixtures("small")
def test_as_many_trials_are_measured_as_fit(monkeypatch):
    monkeypatch.setattr(fuse, "_LONG_STEP_SECONDS", float("inf"))
    monkeypatch.setattr(fuse, "_MEASURE_SECONDS", 0.0)
    monkeypatch.setattr(fuse, "_best", max)  # more always pays
    shape = (1, 8, 8)
    monkeypatch.setattr(
        machine, "free_memory", lambda: 7 * BYTES_PER_WEIGHT * n_weights(WORKLOAD, shape, 10)
    )
    assert trials_per_batch(WORKLOAD, "cpu") == 4


def test_a_shortage_in_the_middle_of_training_is_one_too():
    def on_epoch(_report):
        torch.empty(2**61, dtype=torch.uint8)
        return ()

    with pytest.raises(torch.OutOfMemoryError, match="asked for"):
        train(WORKLOAD, TRIALS, on_epoch)


def test_a_gpu_is_named_and_the_cpu_offered():
    with pytest.raises(DeviceTooSmall, match=r"^2 trials of mlp .* memory of cuda .*on the cpu"):
        with fitting(WORKLOAD, 2, "cuda"):
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB.")


def test_a_network_that_takes_no_such_samples_is_refused_for_that():
    check_memory(Workload(model="cnn"), (64,), 10, n_trials=1, device=CPU)
    assert memory.ran_out(MemoryError()) and not memory.ran_out(OSError("not enough memory"))


def test_bytes_are_said_as_people_say_them():
    assert [in_bytes(n) for n in (1_500, 99_000_000, 53_170_479_184)] == [
        "0.0 MB",
        "99.0 MB",
        "53.2 GB",
    ]
