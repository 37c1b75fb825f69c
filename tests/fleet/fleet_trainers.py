"""Trainers for workers of a fleet, importable on its nodes."""

import time

import light_trainer

from tuner.search.work import surroundings

surroundings.IMPORTED = ["tuner.search.work.crew"]  # these trainers need no torch


class SteadyTrainer(light_trainer.SlowTrainer):
    """Trains by formula and takes its time."""


class EndlessTrainer(light_trainer.LightTrainer):
    """Its epochs do not end."""

    def between_epochs(self, _trials: object, _epoch: int) -> None:
        time.sleep(3600)
