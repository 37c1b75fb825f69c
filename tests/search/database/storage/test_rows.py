"""Trials read and made as rows are those that Optuna reads and makes as objects."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuner.search.database.storage import rows
from tuner.search.database.storage.many import create_trials
from tuner.search.database.store import Store

RANGES = {
    "rate": FloatDistribution(1e-5, 0.1, log=True),
    "width": IntDistribution(8, 64, step=8),
    "rule": CategoricalDistribution(("flip", None, 3, True)),
}
ODD = float("inf"), float("-inf"), float("nan")


def fill(store: Store) -> int:
    """A study with trials of every state, and all that Optuna may keep of them; its number."""
    study = optuna.create_study(storage=store.rdb, study_name="theirs", direction="maximize")
    for number, rule in enumerate(("flip", None, 3, True)):
        study.add_trial(
            create_trial(
                params={"rate": 1e-3, "width": 16, "rule": rule},
                distributions=RANGES,
                value=(0.5, 1e300, *ODD[:2])[number],
                user_attrs={"z": "é\x00", "run": {"curve": [0.1, None]}, "index": number},
                system_attrs={"constraints": [0.5]},
                intermediate_values=dict(zip((3, 1, 2, 0), (0.25, *ODD), strict=True)),
            )
        )
    study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.125}))
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.enqueue_trial({"rate": 0.01}, user_attrs={"index": 9})
    study.enqueue_trial({})
    study.ask(RANGES)
    several = optuna.create_study(storage=store.rdb, directions=["minimize", "maximize"])
    several.add_trial(create_trial(values=[1.0, -2.0]))
    return int(study._study_id)


def told(trials: list[FrozenTrial]) -> list[dict[str, object]]:
    """All that is in them, in no order; NaN is not equal to itself."""
    return [
        {
            name: sorted(map(repr, part.items())) if isinstance(part, dict) else repr(part)
            for name, part in vars(trial).items()
        }
        for trial in trials
    ]


@pytest.mark.parametrize("many", [False, True])
def test_rows_make_the_same_trials(store: Store, monkeypatch: pytest.MonkeyPatch, many: bool):
    monkeypatch.setattr(rows, "_NAMED", 1 if many else 500)
    study_id, other = fill(store), 2
    everything = RDBStorage._get_trials(store.rdb, study_id, None, set(), -1)
    assert len({trial.state for trial in everything}) == 5
    first, *_, last = (trial._trial_id for trial in everything)
    for states in (None, (TrialState.WAITING, TrialState.RUNNING), ()):
        for below in (set(), {first, first + 2}, {first + 1, last, last + 50}):
            for above in (-1, first, first + 4, last):
                asked = study_id, states, below, above
                expected = RDBStorage._get_trials(store.rdb, *asked)
                assert told(store.rdb._get_trials(*asked)) == told(expected), asked
    (two,) = store.rdb._get_trials(other, None, set(), -1)
    assert two.values == [1.0, -2.0]
    with pytest.raises(KeyError):
        store.rdb._get_trials(99, None, set(), -1)


def test_one_trial_is_the_one_that_optuna_reads(store: Store):
    for known in store.rdb.get_all_trials(fill(store)):
        expected = RDBStorage.get_trial(store.rdb, known._trial_id)
        with store.reader.connect() as connection:
            found = rows.trial_of_rows(connection, known._trial_id)
        assert found is not None
        assert told([found]) == told([expected])
    with store.reader.connect() as connection:
        assert rows.trial_of_rows(connection, 10_000) is None


def test_what_a_transaction_wrote_is_seen_in_it(store: Store):
    study_id = fill(store)
    (waiting, *_) = store.rdb.get_all_trials(study_id, states=(TrialState.WAITING,))
    with store.transaction():
        store.rdb.set_trial_user_attr(waiting._trial_id, "index", 77)
        seen = {trial._trial_id: trial for trial in store.rdb.get_all_trials(study_id)}
        assert seen[waiting._trial_id].user_attrs == {"index": 77}


def test_rows_are_the_trials_that_optuna_makes_one_by_one(store: Store):
    templates = store.rdb.get_all_trials(fill(store))
    one_by_one, together = (
        store.rdb.create_new_study([StudyDirection.MAXIMIZE], name) for name in ("one", "many")
    )
    for template in templates:
        store.rdb.create_new_trial(one_by_one, template)
    ids = create_trials(store.rdb, together, templates[:4])
    with store.transaction():
        ids += create_trials(store.rdb, together, templates[4:])
    assert create_trials(store.rdb, together, []) == []
    expected, made = (
        RDBStorage._get_trials(store.rdb, study, None, set(), -1)
        for study in (one_by_one, together)
    )
    assert [trial._trial_id for trial in made] == ids
    assert [trial.number for trial in made] == list(range(len(templates)))
    for trial in (*expected, *made):
        trial._trial_id = 0
    assert told(made) == told(expected)
    with pytest.raises(KeyError):
        create_trials(store.rdb, 99, templates)


@pytest.mark.parametrize("before", [0, 1])
def test_a_range_of_another_kind_is_refused_as_optuna_does(store: Store, before: int):
    ranges = {"rate": FloatDistribution(0, 1)}, {"rate": IntDistribution(0, 1)}
    usual, odd = (create_trial(value=0.5, params={"rate": 1}, distributions=r) for r in ranges)
    study_id = store.rdb.create_new_study([StudyDirection.MAXIMIZE], "mine")
    for _ in range(before):
        store.rdb.create_new_trial(study_id, usual)
    templates = [odd] if before else [usual, odd]
    with pytest.raises(ValueError, match="Cannot set different distribution kind"):
        create_trials(store.rdb, study_id, templates)
    assert len(store.rdb.get_all_trials(study_id)) == before
