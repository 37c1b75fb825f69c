"""Large comparisons beside small ones: everybody has a turn."""

import optuna
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


def asked(store: Store, keeper: Keeper) -> list[str]:
    """The statements that a round takes."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    keeper.take_turns()
    event.remove(store.engine, "before_cursor_execute", note)
    return statements


@pytest.mark.slow
def test_a_round_asks_nothing_about_comparisons_to_which_nothing_happened(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keepers, "GAP_SECONDS", -1.0)
    keeper = Keeper(store)
    control.submit(store, comparison(name="first", retrain_seeds=0))
    keeper.tend()
    keeper.tend()
    of_one = len(asked(store, keeper))
    for number in range(4):
        control.submit(store, comparison(name=f"other-{number}", retrain_seeds=0))
    keeper.tend()
    keeper.tend()
    assert len(asked(store, keeper)) == of_one
    control.change_comparison(store, "other-2", "pause")
    control.change_comparison(store, "other-2", "resume")
    assert len(asked(store, keeper)) > of_one


@pytest.mark.slow
def test_a_comparison_at_which_nothing_was_to_be_done_is_kept_going_to_its_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keepers, "GAP_SECONDS", -1.0)
    control.submit(store, comparison())
    run(store)
    assert store.status("small") == "complete"


@pytest.mark.slow
def test_a_keeper_that_starts_beside_full_queues_writes_nothing(store: Store):
    for name in ("first", "second"):
        enqueue(store, comparison(name=name, retrain_seeds=0))
    statements = asked(store, Keeper(store))
    assert any("tuner_trials" in statement for statement in statements)
    assert not [each for each in statements if not each.lstrip().startswith(("SELECT", "WITH"))]


@pytest.mark.slow
def test_a_comparison_in_trouble_is_tried_again_after_ever_longer_waits(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    control.submit(store, comparison(retrain_seeds=0))
    optuna.create_study(storage=store.rdb, study_name="small/new")
    now, tried = [0.0], []
    keeper = Keeper(store, clock=lambda: now[0])
    put_off = keeper._put_off

    def note(which: tuple[str, str]) -> None:
        tried.append(now[0])
        put_off(which)

    monkeypatch.setattr(keeper, "_put_off", note)
    for now[0] in (0, 1, 2, 3, 8, 9, 22, 23, 52, 53, 112, 113, 172, 173):
        keeper.tend()
    assert tried == [0, 1, 3, 9, 23, 53, 113, 173]
    control.submit(store, comparison(name="other", retrain_seeds=0))
    keeper.tend()
    assert waiting(store, "other") == [6, 6]  # nobody else waits
    optuna.delete_study(storage=store.rdb, study_name="small/new")
    for now[0] in (232, 233):
        keeper.tend()
    assert waiting(store, "small") == [6, 6]
    assert tried[-1] == 173


@pytest.mark.slow
def test_a_comparison_in_trouble_that_was_paused_is_tried_again_at_once(store: Store):
    control.submit(store, comparison(retrain_seeds=0))
    optuna.create_study(storage=store.rdb, study_name="small/new")
    keeper = Keeper(store, clock=lambda: 0.0)
    for _ in range(3):
        keeper.tend()
    optuna.delete_study(storage=store.rdb, study_name="small/new")
    keeper.tend()
    assert waiting(store, "small") == [6, 0]
    for change in ("pause", "resume"):
        control.change_comparison(store, "small", change)
        keeper.tend()
    assert waiting(store, "small") == [6, 6]
