"""Trials that are written together are those that Optuna makes one by one."""

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from sqlalchemy import event

from tuner.search.database.storage import many
from tuner.search.database.storage.many import create_trials, end_as_failed, study_names
from tuner.search.database.store import Store

WAITING = [
    create_trial(state=TrialState.WAITING, user_attrs={"index": i, "seed": {"a": [i, None]}})
    for i in range(4)
]


def study(store: Store, name: str) -> int:
    made = optuna.create_study(storage=store.rdb, study_name=name)
    made.add_trial(create_trial(value=0.5, params={}, distributions={}))
    return int(made._study_id)


def seen(store: Store, study_id: int) -> list[dict[str, object]]:
    """All but their numbers in the database and the times."""
    found = [vars(trial) for trial in store.rdb.get_all_trials(study_id)[1:]]
    left_out = ("_trial_id", "_datetime_start", "datetime_start", "datetime_complete")
    return [{name: each[name] for name in each if name not in left_out} for each in found]


@pytest.mark.parametrize("others", [[], [create_trial(state=TrialState.FAIL)]])
def test_they_are_as_optuna_makes_them(store: Store, others: list[optuna.trial.FrozenTrial]):
    templates = [*WAITING, *others]
    one_by_one, together = study(store, "one by one"), study(store, "together")
    for template in templates * 2:
        store.rdb.create_new_trial(one_by_one, template)
    ids = create_trials(store.rdb, together, templates)
    ids += create_trials(store.rdb, together, templates)
    assert seen(store, together) == seen(store, one_by_one)
    assert ids == [trial._trial_id for trial in store.rdb.get_all_trials(together)[1:]]
    with pytest.raises(KeyError):
        create_trials(store.rdb, 99, templates)


def test_in_a_transaction_they_are_there_at_once_and_gone_if_it_fails(store: Store):
    study_id = study(store, "mine")
    with pytest.raises(ZeroDivisionError), store.transaction():
        create_trials(store.rdb, study_id, WAITING)
        assert len(store.rdb.get_all_trials(study_id)) == 5
        assert [t.number for t in store.rdb.get_all_trials(study_id)] == [0, 1, 2, 3, 4]
        raise ZeroDivisionError
    assert len(store.rdb.get_all_trials(study_id)) == 1


def test_more_of_them_take_no_more_statements(store: Store):
    study_id = study(store, "mine")
    taken = []
    for templates in (WAITING[:1], WAITING * 5):
        statements: list[str] = []

        def note(_connection: object, _cursor: object, said: str, *_: object) -> None:
            statements.append(said)  # noqa: B023  # of this turn

        event.listen(store.engine, "before_cursor_execute", note)
        create_trials(store.rdb, study_id, templates)
        event.remove(store.engine, "before_cursor_execute", note)
        taken.append(len(statements))
    assert taken[0] == taken[1]


def test_those_that_wait_or_run_in_these_studies_end_as_optuna_ends_them(store: Store):
    together, one_by_one = study(store, "together"), study(store, "one by one")
    ids, others = (create_trials(store.rdb, each, WAITING) for each in (together, one_by_one))
    for trials in (ids, others):
        store.rdb.set_trial_state_values(trials[1], TrialState.RUNNING)
        store.rdb.set_trial_user_attr(trials[1], "cancelled", "not yet")
        store.rdb.set_trial_state_values(trials[2], TrialState.COMPLETE, [0.5])
    for trial_id in others[:2]:
        store.rdb.set_trial_user_attr(trial_id, "cancelled", True)
        store.rdb.set_trial_state_values(trial_id, TrialState.FAIL)
    asked = [*ids[:3], others[3], 10_000]
    with store.transaction():
        before = [store.rdb.get_trial(each).state for each in asked[:4]]
        assert end_as_failed(store.rdb, [together], asked, "cancelled") == ids[:2]
        now = [store.rdb.get_trial(each).state for each in asked[:4]]
    waiting, running, failed = TrialState.WAITING, TrialState.RUNNING, TrialState.FAIL
    assert before == [waiting, running, TrialState.COMPLETE, waiting]
    assert now == [failed, failed, TrialState.COMPLETE, waiting]
    assert seen(store, together) == seen(store, one_by_one)
    ends = [store.rdb.get_trial(each[0]).datetime_complete for each in (ids, others)]
    assert abs((ends[0] - ends[1]).total_seconds()) < 600  # of the same clock and zone
    assert end_as_failed(store.rdb, [together], asked, "cancelled") == []


def test_names_of_studies_are_found_however_many_are_asked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(many, "_NAMED", 2)
    for name in ("a", "b", "c"):
        study(store, name)
    with store.engine.connect() as connection:
        assert study_names(connection, ["x", "c", "y", "z", "a"]) == ["a", "c"]
        assert study_names(connection, []) == []
