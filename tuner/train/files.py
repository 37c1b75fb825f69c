"""Files of unfinished training: written whole or not at all, read whole or not at all, swept.

What a file says may be anything, so it is checked: whether it can be.
"""

import io
import logging
import math
import os
import re
import secrets
import time
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tuner.trial import EpochPoint
from tuner.workload import ACCURACY, Workload

_OURS = re.compile(r"[0-9a-f]{64}(\.pt|\.[0-9a-f]+\.part)")
"""What the files are called, finished or half written; no other file is ever removed."""

_log = logging.getLogger(__name__)


def path(folder: Path, name: str) -> Path:
    """Where the file of that name, a SHA-256 in hexadecimal, lies."""
    return folder / f"{name}.pt"


def save(file: Path, content: dict[str, Any]) -> None:
    """Write the file, replacing what it held; after a crash it holds the old or the new.

    The folder is made, and swept when this process first writes to it.

    Args:
        file: As ``path`` gives it.
        content: Tensors, numbers and strings in dicts, lists and tuples.

    Raises:
        OSError: If the disk is full, or the folder cannot be made or written to.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    _sweep_once(file.parent)
    serialised = io.BytesIO()  # torch, writing to a disk that is full, can end the process
    torch.save(content, serialised)
    made = file.with_name(f"{file.stem}.{secrets.token_hex(8)}.part")
    try:
        with made.open("xb") as out:
            out.write(serialised.getbuffer())
            out.flush()
            os.fsync(out.fileno())
        made.replace(file)
    finally:
        made.unlink(missing_ok=True)


def restore(file: Path) -> dict[str, Any] | None:
    """What was written, on the CPU; None if there is nothing, or nothing that can be read.

    A file that cannot be read is removed, and one line says so.
    """
    try:
        serialised = io.BytesIO(file.read_bytes())
        with zipfile.ZipFile(serialised) as archive:  # torch does not compare the checksums
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        serialised.seek(0)  # torch reads from where it stands
        content: dict[str, Any] = torch.load(serialised, map_location="cpu", weights_only=True)
        return content
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # damage can make the readers raise anything
        discard(file, error)
        return None


def discard(file: Path, why: Exception) -> None:
    """Remove a file that is of no use, and say so in one line."""
    reason = f"{type(why).__name__}: {why}".partition("\n")[0]
    _log.warning("training starts over, as %s cannot be used (%s)", file, reason)
    remove(file)


def remove(file: Path) -> None:
    """Remove the file; one that cannot be removed is swept later, by whoever can."""
    with suppress(OSError):
        file.unlink()


def sweep(folder: Path, days: float = 7) -> None:
    """Remove what was last written more than so many days ago: nobody goes on with it.

    Args:
        folder: Where the files lie; other files in it are let be.
        days: How old a file may be.
    """
    oldest = time.time() - days * 24 * 3600
    for file in folder.iterdir():
        with suppress(OSError):  # another process may have removed it
            if _OURS.fullmatch(file.name) and file.stat().st_mtime < oldest:
                file.unlink()


@cache
def _sweep_once(folder: Path) -> None:
    sweep(folder)


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
