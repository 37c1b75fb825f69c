"""Files of unfinished training: written whole or not at all, read whole or not at all, swept.

What a file says may be anything, so it is checked: whether it can be.
"""

import io
import logging
import math
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch

from tuner.kept import Place
from tuner.trial import EpochPoint
from tuner.workload import ACCURACY, Workload

_log = logging.getLogger(__name__)


def save(place: Place, name: str, content: dict[str, Any]) -> None:
    """Write the file, replacing what it held; after a crash it holds the old or the new.

    Args:
        place: Where it lies.
        name: What it is called there.
        content: Tensors, numbers and strings in dicts, lists and tuples.

    Raises:
        OSError: If the disk is full, or the place cannot be made, reached or written to.
    """
    serialised = io.BytesIO()  # torch, writing to a disk that is full, can end the process
    torch.save(content, serialised)
    place.write(name, serialised.getbuffer())


def restore(place: Place, name: str) -> dict[str, Any] | None:
    """What was written, on the CPU; None if there is nothing, or nothing that can be read.

    One line says so; a file that is damaged is removed.
    """
    try:
        kept = place.read(name)
    except OSError as error:
        _say(place, name, error)
        return None
    if kept is None:
        return None
    try:
        serialised = io.BytesIO(kept)
        with zipfile.ZipFile(serialised) as archive:  # torch does not compare the checksums
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        serialised.seek(0)  # torch reads from where it stands
        content: dict[str, Any] = torch.load(serialised, map_location="cpu", weights_only=True)
        return content
    except Exception as error:  # damage can make the readers raise anything
        discard(place, name, error)
        return None


def discard(place: Place, name: str, why: Exception) -> None:
    """Remove a file that is of no use, and say so in one line."""
    _say(place, name, why)
    remove(place, name)


def _say(place: Place, name: str, why: Exception) -> None:
    reason = f"{type(why).__name__}: {why}".partition("\n")[0]
    _log.warning("training starts over, as %s cannot be used (%s)", place.shown(name), reason)


def remove(place: Place, name: str) -> None:
    """Remove the file; one that cannot be removed is swept later, by whoever can."""
    with suppress(OSError):
        place.remove(name)


def check_progress(state: Mapping[str, Any], n_trials: int, workload: Workload) -> None:
    """Refuse what no run of so many trials can have kept, as ``run.Run.state`` has it.

    Raises:
        KeyError, TypeError, ValueError: If it cannot be; says what.
    """
    epochs, finished = workload.epochs, state["finished"]
    if type(finished) is not int or not 0 < finished < epochs:
        raise ValueError(f"finished must be from 1 to {epochs - 1}, got {finished!r}")
    active, diverged, stopped = state["active"], state["diverged"], state["stopped"]
    if not active or list(active) != sorted(active):
        raise ValueError(f"active must be positions in order, one at least, got {active!r}")
    left = {*diverged, *stopped}
    if sorted([*active, *left]) != list(range(n_trials)):
        raise ValueError(f"each of {n_trials} trials must be active or have left, got {active!r}")
    if len(state["curves"]) != n_trials:
        raise ValueError(f"there must be {n_trials} curves, got {len(state['curves'])}")
    for position, curve in enumerate(state["curves"]):
        check_curve([EpochPoint(*point) for point in curve], workload)
        if len(curve) > finished or (position in active and len(curve) != finished):
            raise ValueError(f"trial {position} has {len(curve)} epochs of {finished}")


def check_curve(curve: Sequence[EpochPoint], workload: Workload) -> None:
    """Refuse a curve that is none.

    Raises:
        TypeError, ValueError: If it is empty, too long, or its numbers cannot be.
    """
    epochs, shares = workload.epochs, workload.metric == ACCURACY
    if [point.epoch for point in curve] != list(range(1, len(curve) + 1)):
        raise ValueError("a curve's epochs must count from 1")
    if not 0 < len(curve) <= epochs:
        raise ValueError(f"a curve must have from 1 to {epochs} epochs, got {len(curve)}")
    for point in curve:
        score = point.val_accuracy
        if not (0 <= score <= 1 if shares else math.isfinite(score)):
            raise ValueError(f"an accuracy must be in [0, 1], other scores finite, got {point}")
        if not 0 <= point.flip_ratio <= 1:
            raise ValueError(f"shares must be in [0, 1], got {point}")
        if not 0 <= point.seconds < math.inf or not isinstance(point.train_loss, float):
            raise ValueError(f"a loss must be a number and seconds at least 0, got {point}")
