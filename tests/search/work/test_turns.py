"""Large comparisons beside small ones: everybody has a turn."""

import pytest
from comparisons import comparison, enqueue

from tuner.search.database.store import Store, open_store
from tuner.search.queue import control, filling, operations
from tuner.search.watch.progress import study_progress
from tuner.search.work import keeper as keepers
from tuner.search.work.keeper import Keeper

LARGE = comparison(name="large", n_trials=150, retrain_seeds=0)


@pytest.fixture(autouse=True)
def turns_of_one_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepers, "TURN_SECONDS", 0.0)


def waiting(store: Store, name: str) -> list[int]:
    return [study.waiting for study in study_progress(store, name).values()]


@pytest.mark.slow
def test_a_small_comparison_gets_its_queue_while_a_large_one_s_is_filled(store: Store):
    control.submit(store, LARGE)
    keeper = Keeper(store)
    assert keeper.take_turns()
    control.submit(store, comparison(retrain_seeds=0))
    for _ in range(3):
        keeper.take_turns()
    assert waiting(store, "small") == [6, 6]
    assert waiting(store, "large") == [0, 0]
    while keeper.take_turns():
        pass
    assert waiting(store, "large") == [150, 150]


@pytest.mark.slow
def test_a_small_comparison_gets_its_queue_while_a_large_one_is_deleted(store: Store):
    enqueue(store, LARGE)
    control.change_comparison(store, "large", "pause")
    operation = control.delete(store, "large", within_seconds=0)
    control.submit(store, comparison(retrain_seeds=0))
    keeper = Keeper(store)
    # A turn ends before its first slice if it has no time, so it gets a little.
    for _ in range(3):
        operations.carry_out(store, operation.id, within_seconds=0.01)
        keeper.take_turns()
    assert waiting(store, "small") == [6, 6]
    assert operations.get(store, operation.id).runs


@pytest.mark.slow
def test_two_keepers_fill_a_queue_together_and_no_place_twice(store: Store, database: str):
    elsewhere = open_store(database)
    control.submit(store, LARGE)
    keeper, another = Keeper(store), Keeper(elsewhere)
    while any([keeper.take_turns(), another.take_turns()]):
        pass
    for arm in ("old", "new"):
        places = filling.positions(store, f"large/{arm}")
        assert sorted(places) == list(range(150))
        study_id = store.rdb.get_study_id_from_name(f"large/{arm}")
        assert len(store.rdb.get_all_trials(study_id)) == 150
    elsewhere.close()


@pytest.mark.slow
def test_what_is_left_of_a_filling_is_dropped_with_its_comparison(store: Store):
    control.submit(store, LARGE)
    keeper = Keeper(store)
    keeper.take_turns()
    control.change_comparison(store, "large", "pause")
    control.delete(store, "large")
    other = comparison(name="large", n_trials=3, retrain_seeds=0)
    control.submit(store, other)
    keeper.tend()
    assert waiting(store, "large") == [3, 3]
