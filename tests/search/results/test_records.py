"""A trial's record becomes the filter that the comparison sees."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuner.optim.equivalence import describe
from tuner.search.results.records import epochs_of, filters_of, selected_runs
from tuner.search.work.batch import packed


def trial(rule: str, settings: dict, flips: list[float] | None = None) -> FrozenTrial:
    flips = [0.1, 0.02, 0.02, 0.02] if flips is None else flips
    run = {
        "settings": settings,
        "filter": asdict(describe(rule, settings, 1000)),
        "curve": {"epoch": list(range(1, len(flips) + 1)), "flip_ratio": flips},
    }
    return create_trial(state=TrialState.COMPLETE, value=0.5, user_attrs={"run": run})


SGD = {"learning_rate": 0.1, "weight_decay": 0.01, "momentum": 0.9, "init_scale": 1e-3}
FILTER = {"alpha": 1e-3, "gamma": 0.1}


def test_a_latent_trial_lies_where_its_exact_filter_lies():
    found = filters_of(
        [trial("latent_sgd", SGD), trial("filter_flip", {"alpha": 1e-3, "gamma": 0.1})]
    )
    assert found is not None
    np.testing.assert_allclose(found.alpha, 1e-3, rtol=1e-9)
    np.testing.assert_allclose(found.gamma, 0.1, rtol=1e-9)
    assert found.learning_rate[0] == 0.1 and math.isnan(found.learning_rate[1])
    assert found.weight_decay[0] == 0.01
    assert found.decay == ("constant", "constant")
    np.testing.assert_allclose(found.flip_ratio_measured, 0.02)
    np.testing.assert_allclose(found.flip_ratio_law, 3.27e-3, rtol=1e-2)


def test_a_broken_condition_is_seen_and_an_unknown_one_is_not_called_broken():
    clipped = filters_of([trial("latent_sgd", SGD | {"clip": 1e-4})])
    free = filters_of([trial("latent_sgd", SGD)])
    assert clipped is not None and free is not None
    assert clipped.violated["clip_inactive"][0]
    assert not free.violated["clip_inactive"][0]


def test_the_law_says_nothing_of_epochs_in_which_alpha_had_decayed():
    found = filters_of(
        [trial("filter_flip", {"alpha": 1e-3, "gamma": 0.1, "alpha_decay": "cosine"})]
    )
    assert found is not None
    assert math.isnan(found.flip_ratio_law[0]) and found.decay == ("cosine",)


def test_what_is_no_linear_filter_has_no_point():
    found = filters_of([trial("latent_adam", {"learning_rate": 1e-3})])
    assert found is not None and not found.real.any()


def test_trials_of_other_software_have_no_filters_and_no_epochs():
    foreign = create_trial(state=TrialState.COMPLETE, value=0.5)
    assert filters_of([foreign, foreign]) is None
    assert np.isnan(epochs_of([foreign])).all()


@pytest.mark.parametrize("run", ["wandb-17", 3, ["a"], {"filter": "none", "curve": 1}])
def test_what_other_software_calls_a_run_is_no_record(run):
    foreign = create_trial(state=TrialState.COMPLETE, value=0.5, user_attrs={"run": run})
    assert filters_of([foreign]) is None
    assert np.isnan(epochs_of([foreign])).all()


def test_a_pruned_trial_counts_the_epochs_that_it_was_trained():
    short = trial("filter_flip", FILTER, flips=[0.1])
    long = trial("filter_flip", FILTER)
    assert epochs_of([short, long]).tolist() == [1.0, 4.0]


def fresh_run(index: int, hits: list[bool] | None, state: TrialState = TrialState.COMPLETE):
    attributes = {"index": index}
    if hits is not None:
        attributes |= {"test_hits": packed(hits), "test_accuracy": sum(hits) / len(hits)}
    value = 0.9 if state == TrialState.COMPLETE else None
    return create_trial(state=state, value=value, user_attrs=attributes)


def test_the_hits_of_fresh_runs_are_read_as_they_were_written_in_the_order_of_the_searches():
    rng = np.random.default_rng(0)
    hits = rng.random((3, 449)) < 0.9
    trials = [fresh_run(i, hits[i].tolist()) for i in (2, 0, 1)]
    runs = selected_runs(trials, planned=4, k=10)
    assert runs is not None and runs.search.tolist() == [0, 1, 2] and runs.planned == 4
    assert (runs.hits == hits).all()
    np.testing.assert_allclose(runs.test, hits.mean(axis=1))


def test_a_fresh_run_without_hits_hits_nothing_and_those_of_before_have_none():
    lost = fresh_run(1, None, TrialState.FAIL)
    runs = selected_runs([fresh_run(0, [True, False, True]), lost], planned=2, k=None)
    assert runs is not None and runs.hits.tolist() == [[True, False, True], [False] * 3]
    assert runs.test.tolist() == [2 / 3, 0.0]
    before = selected_runs([fresh_run(0, None)], planned=1, k=None)
    assert before is not None and before.hits is None
