"""Large comparisons beside small ones: everybody has a turn."""

import pytest
from comparisons import comparison, enqueue, run
from sqlalchemy import event

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
def test_of_many_comparisons_the_first_can_be_run_while_the_others_are_filled(store: Store):
    for name in ("first", "second", "third"):
        control.submit(store, comparison(name=name, n_trials=150, retrain_seeds=0))
    keeper = Keeper(store)
    while waiting(store, "first") != [150, 150]:
        assert keeper.take_turns()
    for name in ("second", "third"):
        assert waiting(store, name) != [150, 150]
    keeper.tend()
    assert waiting(store, "third") == [150, 150]


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


def asked(store: Store, keeper: Keeper) -> int:
    """How many statements a round takes."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    keeper.take_turns()
    event.remove(store.engine, "before_cursor_execute", note)
    return len(statements)


@pytest.mark.slow
def test_a_round_asks_nothing_about_comparisons_to_which_nothing_happened(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keepers, "GAP_SECONDS", -1.0)
    keeper = Keeper(store)
    control.submit(store, comparison(name="first", retrain_seeds=0))
    keeper.tend()
    keeper.tend()
    of_one = asked(store, keeper)
    for number in range(4):
        control.submit(store, comparison(name=f"other-{number}", retrain_seeds=0))
    keeper.tend()
    keeper.tend()
    assert asked(store, keeper) == of_one
    control.change_comparison(store, "other-2", "pause")
    control.change_comparison(store, "other-2", "resume")
    assert asked(store, keeper) > of_one


@pytest.mark.slow
def test_a_comparison_at_which_nothing_was_to_be_done_is_kept_going_to_its_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keepers, "GAP_SECONDS", -1.0)
    control.submit(store, comparison())
    run(store)
    assert store.status("small") == "complete"
