"""How it is trained: K trials of one workload as one program."""

from tuner.train.checkpoint import Keep
from tuner.train.fuse import Watched, chosen, trials_per_batch
from tuner.train.loop import check, notes, train, trained_network
from tuner.train.memory import fitting, too_small
from tuner.train.parts import Parts, shifted
from tuner.train.precision import conditions
from tuner.trial import EpochPoint, EpochReport, TrialConfig, TrialResult

__all__ = [
    "EpochPoint",
    "EpochReport",
    "Keep",
    "Parts",
    "TrialConfig",
    "TrialResult",
    "Watched",
    "check",
    "chosen",
    "conditions",
    "fitting",
    "notes",
    "shifted",
    "too_small",
    "train",
    "trained_network",
    "trials_per_batch",
]
