"""Memory that is too small for a workload: foreseen, found out, and said.

Torch says that a GPU's memory ran out by ``torch.OutOfMemoryError``, and that the machine's did by
any RuntimeError; here both are the first.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from tuner import machine
from tuner.errors import DeviceTooSmall
from tuner.wording import count
from tuner.workload import Workload
from tuner.workload.weights import n_weights

BYTES_PER_WEIGHT = 8
"""Of training, at least: weight and gradient in two bytes each, state of the rule in four."""

_MACHINE_S = ("can't allocate memory", "not enough memory", "std::bad_alloc")
_ASKED = re.compile(r"tried to allocate (\d+) bytes")


def ran_out(error: Exception) -> bool:
    """Whether this says that memory ran out, a GPU's or the machine's."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MACHINE_S)


@contextmanager
def shortage() -> Iterator[None]:
    """Has every way in which memory runs out inside be ``torch.OutOfMemoryError``."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        asked = _ASKED.search(str(error))
        size = f"{in_bytes(int(asked[1]))} more were" if asked else "more was"
        raise torch.OutOfMemoryError(f"{size} asked for") from error


def check_memory(
    workload: Workload,
    shape: Sequence[int],
    n_classes: int,
    *,
    n_trials: int,
    device: torch.device,
) -> None:
    """Refuse, before a network is built, one whose weights alone are more than there is memory.

    Args:
        workload: What is to be trained; of a network of the user's nothing is known, nor of one
            that takes no such samples.
        shape: Of one sample.
        n_classes: Number of classes.
        n_trials: How many trials at once.
        device: Where.

    Raises:
        torch.OutOfMemoryError: If so; says how much it would take at least.
    """
    if workload.own_model or not (len(shape) == 3 or workload.model == "mlp"):
        return
    weights = n_trials * n_weights(workload, shape, n_classes)
    if (least := BYTES_PER_WEIGHT * weights) > _memory(device):
        raise torch.OutOfMemoryError(
            f"{count(weights, 'weight')} take {in_bytes(least)} at least with gradients and state"
        )


@contextmanager
def fitting(workload: Workload, n_trials: int, device: str) -> Iterator[None]:
    """Say it, where memory runs out inside.

    Args:
        workload: What is trained.
        n_trials: How many at once.
        device: A torch device.

    Raises:
        DeviceTooSmall: If it does.
    """
    try:
        with shortage():
            yield
    except torch.OutOfMemoryError as error:
        raise too_small(workload, n_trials, device, str(error)) from None


def too_small(workload: Workload, n_trials: int, device: str, why: str) -> DeviceTooSmall:
    """What to raise where so many trials of a workload do not fit in a device's memory.

    Args:
        workload: What was to be trained.
        n_trials: How many at once.
        device: A torch device.
        why: What ``torch.OutOfMemoryError`` said.
    """
    where, ways = f"the memory of {device}", "train it on the cpu, or make"
    if device == "cpu":
        free = in_bytes(machine.free_memory())
        where, ways = f"the memory of this machine, of which {free} are free", "make"
    return DeviceTooSmall(
        f"{count(n_trials, 'trial')} of {workload.model} at batch_size {workload.batch_size} "
        f"did not fit in {where} ({' '.join(why.split())}); {ways} the widths or batch_size "
        "smaller, or run fewer worker processes"
    )


def in_bytes(n: int) -> str:
    """A number of bytes as people read it."""
    return f"{n / 1e9:,.1f} GB" if n >= 1e8 else f"{n / 1e6:,.1f} MB"


def _memory(device: torch.device) -> int:
    """Bytes that training may take there."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return machine.free_memory()
