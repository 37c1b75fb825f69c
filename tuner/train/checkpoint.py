"""Training that can be gone on with: one file per batch, which no other run can take for its own.

The file's name is a digest of everything that decides the run bit for bit, so whoever makes the
same run finds it, in whatever database the run is recorded and on whatever machine it is made.
"""

import dataclasses
import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tuner import __version__
from tuner.bnn.data.dataset import load_data
from tuner.errors import Interrupted
from tuner.kept import at
from tuner.rules import complete
from tuner.train import files
from tuner.train.memory import ran_out
from tuner.train.precision import conditions
from tuner.train.run import Run
from tuner.trial import TrialConfig
from tuner.workload import Workload

_log = logging.getLogger(__name__)


def never() -> bool:
    """Do not stop."""
    return False


@dataclass(frozen=True)
class Keep:
    """How unfinished training is kept.

    Args:
        folder: Where: a folder, which is made if missing, or an address as ``tuner.kept.at``
            takes it; either may be shared by several machines.
        stopping: Asked after every epoch but the last; once true, the run is saved and ends.
        seconds: How often to save it meanwhile, at the end of an epoch; 0 for every epoch.
    """

    folder: Path | str
    stopping: Callable[[], bool] = never
    seconds: float = 60.0


def digest(
    workload: Workload, trials: Sequence[TrialConfig], device: str, **more: str | bool
) -> str:
    """SHA-256 of all that decides a run bit for bit, in hexadecimal.

    Args:
        workload: What is trained.
        trials: The batch; a trial's company decides how its sums are rounded.
        device: A torch device, of which the type counts.
        more: What else to tell apart.
    """
    about = {
        "versions": [__version__, torch.__version__],
        "workload": dataclasses.asdict(workload),
        "data": load_data(workload).digest,
        "trials": [(t.rule, complete(t.rule, t.settings), t.seed) for t in trials],
        "conditions": conditions(workload, device),
        "more": more,
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


class Checkpoint:
    """The file of one batch, from its first epoch to its last.

    Args:
        keep: Where, and how often.
        workload: As ``train`` takes it.
        trials: As ``train`` takes them.
        device: As ``train`` takes it.
    """

    def __init__(
        self, keep: Keep, workload: Workload, trials: Sequence[TrialConfig], device: str
    ) -> None:
        self._keep = keep
        self._workload = workload
        self._trials = trials
        self._device = torch.device(device)
        self._place = at(keep.folder)
        self._name = f"{digest(workload, trials, device)}.pt"
        self._saved = time.monotonic()
        self._warned = False

    def resume(self) -> Run:
        """The run as it was last saved, or a new one."""
        run = Run(self._workload, self._trials, self._device)
        state = files.restore(self._place, self._name)
        if state is None:
            return run
        try:
            run.restore(state)
        except Exception as error:  # a file can hold anything
            if ran_out(error):
                raise
            files.discard(self._place, self._name, error)
            return Run(self._workload, self._trials, self._device)
        return run

    def between(self, run: Run) -> None:
        """What is to be done between two epochs: save, if it is time, or stop.

        Raises:
            Interrupted: If it was told to stop; the run is saved.
        """
        stopping = self._keep.stopping()
        if stopping or time.monotonic() - self._saved >= self._keep.seconds:
            self._save(run)
        if stopping:
            raise Interrupted(
                f"training was told to stop after epoch {run.finished} of {self._workload.epochs}"
            )

    def remove(self) -> None:
        """The run is complete."""
        files.remove(self._place, self._name)

    def _save(self, run: Run) -> None:
        """Write the file; where that cannot be, say so once, and go on."""
        try:
            files.save(self._place, self._name, run.state())
        except OSError as error:
            if not self._warned:
                _log.warning("unfinished training cannot be kept, it would be lost: %s", error)
            self._warned = True
        self._saved = time.monotonic()
