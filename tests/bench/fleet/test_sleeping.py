"""A trainer that sleeps reports as one that trains: a batch's trials together, epoch by epoch."""

import pytest

from tuner.bench.fleet.lengths import Lengths, lengths
from tuner.bench.fleet.sleeping import Sleeping
from tuner.errors import Interrupted
from tuner.search.work.trainer import OnEpoch
from tuner.trial import EpochReport, TrialResult
from tuner.workload import Workload

EPOCHS = 4
WORKLOAD = Workload(epochs=EPOCHS)
SHORT = lengths("uniform:0.01,0.02")
SEEDS = (7, 8, 9)


def trained(trainer: Sleeping, on_epoch: OnEpoch, told: bool = False) -> list[TrialResult]:
    trials = [({}, seed) for seed in SEEDS]
    return trainer.train(
        WORKLOAD, "filter_flip", trials, on_epoch, test=False, stopping=lambda: told
    )


def test_trials_of_a_batch_sleep_once_together_as_long_as_the_first():
    trainer, reports = Sleeping(SHORT, 3), list[EpochReport]()
    assert trainer.batch_size(WORKLOAD) == 3
    results = trained(trainer, lambda report: reports.append(report) or ())
    ((began, ended),) = trainer.trained
    assert ended - began >= SHORT.draw(SEEDS[0])
    assert [report.epoch for report in reports] == list(range(1, EPOCHS + 1))
    assert {report.trials for report in reports} == {(0, 1, 2)}
    assert sum(result.seconds for result in results) == pytest.approx(SHORT.draw(SEEDS[0]))
    for place, result in enumerate(results):
        assert not result.stopped and len(result.curve) == EPOCHS
        assert [report.val_accuracy[place] for report in reports] == [
            point.val_accuracy for point in result.curve
        ]
        assert result.val_accuracy == result.curve[-1].val_accuracy
        (alone,) = Sleeping(SHORT).train(
            WORKLOAD, "", [({}, SEEDS[place])], lambda _: (), test=False, stopping=lambda: False
        )
        assert alone.val_accuracy == result.val_accuracy


def test_a_trial_that_is_stopped_leaves_the_others_and_in_the_last_epoch_none_is():
    reports = list[EpochReport]()

    def first_stops_the_second_then_all(report: EpochReport) -> tuple[int, ...]:
        reports.append(report)
        return {1: (1,), EPOCHS: (0, 2)}.get(report.epoch, ())

    results = trained(Sleeping(SHORT), first_stops_the_second_then_all)
    assert [report.trials for report in reports] == [(0, 1, 2), *[(0, 2)] * (EPOCHS - 1)]
    assert [len(curve) for curve in reports[-1].curves] == [EPOCHS, EPOCHS]
    assert [result.stopped for result in results] == [False, True, False]
    assert [len(result.curve) for result in results] == [EPOCHS, 1, EPOCHS]
    assert results[1].seconds < results[0].seconds


def test_a_batch_of_which_all_are_stopped_ends():
    epochs = list[int]()
    results = trained(Sleeping(SHORT), lambda report: epochs.append(report.epoch) or (0, 1, 2))
    assert epochs == [1] and all(result.stopped for result in results)


def test_a_trainer_that_is_told_to_stop_raises_before_its_epoch_is_reported():
    trainer, long = Sleeping(Lengths("constant", (60.0,)), 3), list[EpochReport]()
    with pytest.raises(Interrupted):
        trained(trainer, lambda report: long.append(report) or (), told=True)
    ((began, ended),) = trainer.trained
    assert not long and ended > began
