"""What the workers of ``work/churn.py`` train with: they import this, and little else."""

import os
import time

from churn_times import shorten
from light_trainer import PoisonedTrainer, Trials


class ChurnTrainer(PoisonedTrainer):
    """Trains by formula, at its leisure, under leases that are short."""

    def between_epochs(self, trials: Trials, epoch: int) -> None:
        time.sleep(float(os.environ["NAP"]))
        super().between_epochs(trials, epoch)


shorten()  # workers import this module for its trainer before they make their queue
