"""The trials of an arm as their figures take them: which, and what is known of each."""

import math
import os

import pytest
from comparisons import comparison, enqueue, run, work_here
from light_trainer import PickyTrainer

from tuner.compare.figures.trials.tried import BEST
from tuner.search.database.store import Store
from tuner.search.database.tables import DONE
from tuner.search.queue import control
from tuner.search.results import tried as module
from tuner.search.results.tried import reports, tried
from tuner.search.watch import views


@pytest.mark.slow
def test_the_searches_of_an_arm_are_read_and_what_was_trained_afresh_is_not(store: Store):
    spec = comparison(repeats=2)
    control.submit(store, spec)
    run(store)
    old, new = spec.arms
    read = tried(store, spec, new, None)
    assert read.n_ended == len(read.trials) == 12
    assert set(read.searched) == {"alpha", "alpha_decay", "gamma"} == set(read.trials[0].params)
    assert {"constant", "cosine"} <= set(read.searched["alpha_decay"].choices)
    assert read.searched["alpha"].log and read.searched["alpha"].low == 1e-5
    assert read.colour != tried(store, spec, old, None).colour
    rows = views.list_trials(store, "small/new/1", limit=20)
    one = tried(store, spec, new, "small/new/1")
    assert [trial.score for trial in one.trials] == [row.value for row in rows]
    for trial in one.trials:
        assert trial.epochs == (1.0, 2.0, 3.0) and trial.values[-1] == trial.score
    again = tried(store, spec, new, "small/new/retrain")
    assert again.n_ended == 2 and not again.searched


@pytest.mark.slow
def test_a_failed_trial_has_no_score(store: Store, monkeypatch: pytest.MonkeyPatch):
    spec = comparison(retrain_seeds=0)
    monkeypatch.setitem(os.environ, "POISON", str(spec.studies()[0].trial_seed(2)))
    control.submit(store, spec)
    run(store, trainer=PickyTrainer("cpu"))
    read = tried(store, spec, spec.arms[0], None)
    assert [math.isnan(trial.score) for trial in read.trials] == [i == 2 for i in range(6)]
    assert len(read.scored) == len(read.with_curves) == 5


@pytest.mark.slow
def test_of_very_many_trials_some_are_read_and_the_best_are_among_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    spec = comparison(n_trials=30, retrain_seeds=0)
    enqueue(store, spec)
    work_here(store)
    monkeypatch.setattr(module, "MOST_READ", 10)
    read = tried(store, spec, spec.arms[0], None)
    values = [
        row.value or 0.0 for row in views.list_trials(store, "small/old", limit=50, state=DONE)
    ]
    assert read.n_ended == 30 and BEST < len(read.trials) <= 10
    assert [trial.score for trial in read.scored][-BEST:] == sorted(values)[-BEST:]
    order = [values.index(trial.score) for trial in read.trials]
    assert order == sorted(order) and order[0] == 0 and order[-1] == 29


@pytest.mark.slow
def test_a_trial_in_training_tells_what_its_worker_reported_meanwhile(store: Store):
    enqueue(store, comparison())
    (row, *_) = views.list_trials(store, "small/old", limit=1)
    store.rdb.set_trial_intermediate_value(row.trial_id, 2, 0.4)
    store.rdb.set_trial_intermediate_value(row.trial_id, 1, 0.3)
    assert reports(views.get_trial(store, row.trial_id)[1]) == [
        {"epoch": 1, "val_accuracy": 0.3},
        {"epoch": 2, "val_accuracy": 0.4},
    ]
    work_here(store)
    (first, *_) = reports(views.get_trial(store, row.trial_id)[1])
    assert set(first) == {"epoch", "train_loss", "val_accuracy", "flip_ratio", "seconds"}
