"""Trainers for workers of a fleet, importable on its nodes."""

import time
from collections.abc import Sequence
from typing import Any

import light_trainer

from tuner.search.work import surroundings

surroundings.IMPORTED = ["tuner.search.work.crew"]  # these trainers need no torch


class SteadyTrainer(light_trainer.SlowTrainer):
    """Trains by formula and takes its time."""


ENDLESS = 99
"""So many epochs are endless: the first one does not end."""


class EndlessTrainer(light_trainer.LightTrainer):
    """Trains by formula; some of its epochs do not end."""

    def train(self, workload: Any, *rest: Any, **options: Any) -> Sequence[Any]:
        if workload.epochs == ENDLESS:
            time.sleep(3600)
        return super().train(workload, *rest, **options)
