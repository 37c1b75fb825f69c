"""What the workers of ``work/churn.py`` train with: they import this, and little else."""

import time

from light_trainer import PoisonedTrainer, Trials

from tuner.search.queue.queue import Queue

LEASE_SECONDS = 4.0


class ChurnTrainer(PoisonedTrainer):
    """Trains by formula, at its leisure, under leases that are short."""

    def between_epochs(self, trials: Trials, epoch: int) -> None:
        time.sleep(0.01)
        super().between_epochs(trials, epoch)


def shorten_leases() -> None:
    """In this process a lease lasts for seconds: a process that is stopped loses its trials."""
    defaults = Queue.__init__.__kwdefaults__
    assert defaults is not None
    defaults["lease_seconds"] = LEASE_SECONDS


shorten_leases()  # workers import this module for its trainer before they make their queue
