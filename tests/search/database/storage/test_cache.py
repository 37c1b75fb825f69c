"""Optuna writes to trials that its cache was told of, without having read their study."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from comparisons import comparison, enqueue
from optuna.study import Study
from optuna.trial import Trial, TrialState

from tuner.search.database.store import Store, open_store
from tuner.search.declared.samplers import make_sampler
from tuner.search.declared.spaces import suggest
from tuner.search.queue.queue import Queue

STUDY = "small/old"
(SPEC, _) = comparison().studies()


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with closing(open_store(database)) as opened:
        enqueue(opened, comparison())
    with closing(open_store(database)) as opened:  # of a process that has read nothing
        yield opened


def settings(store: Store, trial_id: int) -> dict[str, object]:
    study = Study(STUDY, store.optuna, sampler=make_sampler("random", 7))
    return dict(suggest(SPEC.arm.space, Trial(study, trial_id)))


def test_those_that_it_sees_can_be_written_to_and_no_others_were_read(store: Store):
    ids = Queue(store).claim(STUDY, "a", range(3)).trial_ids
    store.see(STUDY, ids[:2])
    expected = [settings(store, trial_id) for trial_id in ids[:2]]
    store.see(STUDY, ids[:2])
    with pytest.raises(KeyError):
        settings(store, ids[2])
    trials = {trial._trial_id: trial for trial in store.trials_of(STUDY)}  # all are read
    assert len(trials) == comparison().n_trials
    for trial_id, chosen in zip(ids, expected, strict=False):
        assert trials[trial_id].state == TrialState.RUNNING
        assert len(trials[trial_id].params) == len(SPEC.arm.space.parameters)
        assert settings(store, trial_id) == chosen
    assert settings(store, ids[2])


def test_what_it_saw_it_reads_anew_until_that_has_ended(store: Store):
    (trial_id,) = Queue(store).claim(STUDY, "a", range(1)).trial_ids
    store.see(STUDY, [trial_id])
    with closing(open_store(str(store.engine.url.render_as_string(False)))) as other:
        other.optuna.set_trial_user_attr(trial_id, "by", "another")
        assert store.optuna.get_trial(trial_id).user_attrs["by"] == "another"
        other.optuna.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.5])
    assert store.optuna.get_trial(trial_id).value == 0.5
    (first, *_) = store.trials_of(STUDY)
    assert (first._trial_id, first.value) == (trial_id, 0.5)


def test_a_study_that_is_not_there_is_named(store: Store):
    (trial_id,) = Queue(store).claim(STUDY, "a", range(1)).trial_ids
    with pytest.raises(KeyError, match="no study 'gone/old'"):
        store.see("gone/old", [trial_id])
