"""How it is trained: K trials of one workload as one program."""

from tuner.train.fuse import trials_per_batch
from tuner.train.loop import check, train
from tuner.train.precision import conditions
from tuner.train.trial import EpochPoint, EpochReport, TrialConfig, TrialResult

__all__ = [
    "EpochPoint",
    "EpochReport",
    "TrialConfig",
    "TrialResult",
    "check",
    "conditions",
    "train",
    "trials_per_batch",
]
