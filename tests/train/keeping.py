"""A small training run, ways to break it off, and what its curves and the log say."""

import pytest

from tuner.errors import Interrupted
from tuner.train import Keep, TrialConfig, train
from tuner.workload import Workload

WORKLOAD = Workload(widths=(8, 8), epochs=4, batch_size=32, n_train=64)
TRIALS = [TrialConfig("filter_flip", {"alpha": alpha}, seed) for seed, alpha in ((3, 0.1), (4, 1))]


def curves(results):
    return [
        [(p.epoch, p.train_loss, p.val_accuracy, p.flip_ratio) for p in result.curve]
        for result in results
    ]


def interrupt(folder):
    """Train one epoch; returns the file that is left."""
    with pytest.raises(Interrupted):
        train(WORKLOAD, TRIALS, keep=Keep(folder, lambda: True))
    (file,) = folder.iterdir()
    return file


def warnings(caplog):
    messages = [record.getMessage() for record in caplog.records]
    assert all("\n" not in message for message in messages)
    return messages


class Fault(Exception):
    pass


def fault_after(epoch):
    def on_epoch(report):
        if report.epoch == epoch:
            raise Fault
        return ()

    return on_epoch
