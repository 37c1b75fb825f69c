"""Comparisons from one database to another and back: everything arrives, or nothing."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from comparisons import comparison, enqueue, remove, work_here
from light_trainer import LightTrainer
from made_exports import SPEC, exported, make_eventful
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from optuna_dashboard._note import get_note_from_system_attrs
from typer.testing import CliRunner

from tuner.cli.app import app
from tuner.errors import InvalidInput, UnknownName
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store, open_store
from tuner.search.database.transfer import export, load
from tuner.search.queue import control
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.queue import Queue
from tuner.search.queue.waiting import own_code
from tuner.search.watch.progress import study_progress
from tuner.search.work.keeper import Keeper
from tuner.search.work.worker import Worker


@pytest.fixture
def other(store: Store, postgres_url: str, tmp_path: Path) -> Iterator[Store]:
    """A database of the other kind, in which trials have other ids."""
    to_postgres = store.engine.dialect.name == "sqlite"
    url = postgres_url if to_postgres else f"sqlite:///{tmp_path}/b.db"
    with closing(open_store(url)) as opened:
        enqueue(opened, comparison(name="first", n_trials=3))
        yield opened


def trials_of(store: Store) -> dict[str, list[tuple[object, ...]]]:
    return {
        study.study_name: [
            (trial.params, trial.value, trial.state, trial.user_attrs["seed"])
            for trial in finished_trials(store, study.study_name)
        ]
        for study in SPEC.every_study()
    }


def run_to_the_end(store: Store, name: str = "small") -> None:
    for _ in range(3):
        Keeper(store).tend()
        work_here(store, trainer=LightTrainer("cpu"), comparison=name)
    Keeper(store).tend()
    assert store.status(name) == "complete"


def compared(store: Store) -> str:
    url = store.engine.url.render_as_string(hide_password=False)
    result = CliRunner().invoke(app, ["compare", "small", "--database", url, "--json", "-"])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_what_is_exported_and_imported_is_exported_the_same_again(store: Store, other: Store):
    make_eventful(store)
    first = exported(store)
    assert load(other, first) == (["small", "other"], [])
    again = exported(other)
    assert again[1:-1] == first[1:-1]
    lines = [json.loads(line) for line in first]
    trials = [line for line in lines if line["kind"] == "trial" and line["study_name"][0] == "s"]
    states = [(trial["state"], trial["place"] and trial["place"]["state"]) for trial in trials]
    assert set(states) == {
        ("FAIL", None),  # retried
        ("FAIL", "failed"),
        ("COMPLETE", "done"),
        ("PRUNED", "done"),
        ("WAITING", "waiting"),
    }
    assert [line["status"] for line in lines[1:3]] == ["active", "active"]
    assert {line["status"] for line in lines if "other" in line.get("comparison", "")} == {
        "cancelled"
    }
    assert [lines[-1][kind] for kind in ("comparisons", "studies")] == [2, 12]


def test_which_code_of_the_user_s_ran_first_arrives_too(store: Store, other: Store):
    enqueue(store, SPEC)
    assert own_code(store, "small", "sha256:1") == "sha256:1"
    load(other, exported(store, "small"))
    assert own_code(other, "small", "sha256:2") == "sha256:1"


def test_the_trials_in_optuna_are_the_same_but_for_their_ids(store: Store, other: Store):
    make_eventful(store)
    load(other, exported(store))
    for name in ("small/old", "small/new", "other/old"):
        here, there = (optuna.load_study(study_name=name, storage=s.rdb) for s in (store, other))
        assert here.user_attrs == there.user_attrs
        assert here.directions == there.directions
        for one, two in zip(here.trials, there.trials, strict=True):
            assert one._trial_id != two._trial_id
            if one.state == TrialState.RUNNING:
                one.state = TrialState.WAITING
            assert plain(one) == plain(two)
        assert notes(here) == notes(there)
    there = optuna.load_study(study_name="small/old", storage=other.rdb)
    assert notes(there) == ["on the study", "", "", "", "long " * 1000, *[""] * 6]


def plain(trial: FrozenTrial) -> str:
    """The trial in words, but for its id: NaN differs from itself, and databases do not sort."""
    values = dict(sorted(vars(trial).items()), _trial_id=None)
    return str({key: _in_order(value) for key, value in values.items()})


def _in_order(value: object) -> object:
    return sorted(value.items()) if isinstance(value, dict) else value


def notes(study: optuna.Study) -> list[str]:
    """The dashboard's notes on the study and on its trials."""
    attributes = study._storage.get_study_system_attrs(study._study_id)
    ids = [None, *(trial._trial_id for trial in study.trials)]
    return [get_note_from_system_attrs(attributes, each)["body"] for each in ids]


def test_times_arrive_in_another_time_zone_as_they_were(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
):
    make_eventful(store)
    first = exported(store)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        load(other, first)
        assert exported(other)[1:-1] == first[1:-1]
    finally:
        monkeypatch.undo()
        time.tzset()
    moved, stayed = (
        optuna.load_study(study_name="small/old", storage=s.rdb).trials[0] for s in (other, store)
    )
    assert moved.datetime_start == stayed.datetime_start


@pytest.mark.slow
def test_a_half_finished_comparison_goes_on_elsewhere_to_the_same_results(
    store: Store, other: Store, tmp_path: Path
):
    enqueue(store, SPEC)

    def half_done() -> bool:
        return sum(study.finished for study in study_progress(store, "small").values()) >= 4

    Worker(
        Queue(store), LightTrainer("cpu"), name="some", stopping=half_done, comparison="small"
    ).run()
    in_training = Queue(store).claim("small/new", "gone", range(8)).trial_ids
    assert 0 < len(in_training) < 8
    load(other, exported(store, "small"))
    with closing(open_store(f"sqlite:///{tmp_path}/undisturbed.db")) as undisturbed:
        undisturbed.declare(SPEC)
        for each in (other, undisturbed):
            run_to_the_end(each)
        assert trials_of(other) == trials_of(undisturbed)
        assert all(trials_of(other).values())
        report = compared(other)
        assert report == compared(undisturbed)
    with closing(open_store(f"sqlite:///{tmp_path}/back.db")) as back:
        load(back, exported(other, "small"))
        assert compared(back) == report


def test_a_comparison_is_exported_as_it_is_at_one_moment(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
):
    enqueue(store, SPEC)
    claim = Queue(store).claim("small/old", "a", range(4))
    before = exported(store, "small")
    asked = store.rdb.get_all_studies

    def meanwhile() -> object:
        """Between what is read of our tables and what is read of Optuna's."""
        with closing(open_store(database)) as another:
            study_id = another.rdb.get_study_id_from_name("small/old")
            another.optuna.get_all_trials(study_id)
            outcome = TrialOutcome(TrialState.COMPLETE, 0.5)
            Queue(another).finish("a", dict.fromkeys(claim.trial_ids, outcome))
        return asked()

    with monkeypatch.context() as patch:
        patch.setattr(store.rdb, "get_all_studies", meanwhile)
        during = exported(store, "small")
    assert during[1:-1] == before[1:-1]
    assert exported(store, "small")[1:-1] != before[1:-1]


def test_a_cancelled_trial_of_which_optuna_was_not_told_arrives_as_ended(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
):
    enqueue(store, SPEC)
    with monkeypatch.context() as patch:
        patch.setattr(
            control, "end_cancelled", lambda *_, **__: False
        )  # the process died before it
        control.change_comparison(store, "small", "cancel")
    load(other, exported(store, "small"))
    trials = optuna.load_study(study_name="small/old", storage=other.rdb).trials
    assert {(trial.state, trial.user_attrs["cancelled"]) for trial in trials} == {
        (TrialState.FAIL, True)
    }


def test_what_is_there_is_left_alone_and_another_of_its_name_refuses_all(
    store: Store, other: Store
):
    make_eventful(store)
    first = exported(store)
    load(other, first)
    Queue(other).claim("small/old", "b", range(6, 8))
    before = exported(other)
    assert load(other, first) == ([], ["small", "other"])
    assert exported(other)[1:-1] == before[1:-1]
    remove(store, "small")
    assert load(store, first) == (["small"], ["other"])
    remove(store, "small")
    remove(store, "other")
    enqueue(store, comparison(name="other", n_trials=7))
    with pytest.raises(InvalidInput, match=r"'other'.*another declaration.*nothing was imported"):
        load(store, first)
    assert store.names() == ["other"]
    assert store.comparison("other").n_trials == 7


def test_a_study_of_someone_else_s_is_not_mixed_up_with_ours(store: Store, other: Store):
    make_eventful(store)
    other.rdb.create_new_study([StudyDirection.MAXIMIZE], "other/new")
    with pytest.raises(InvalidInput, match=r"study 'other/new'.*no comparison; nothing was"):
        load(other, exported(store))
    assert other.names() == ["first"]


def test_an_import_that_breaks_off_leaves_nothing(store: Store, other: Store):
    make_eventful(store)
    count = 0

    def fault(n_trials: int) -> None:
        nonlocal count
        count += n_trials
        if count > SPEC.n_trials:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(other, exported(store), on_trials=fault)
    assert other.names() == ["first"]
    names = {study.study_name for study in other.rdb.get_all_studies()}
    assert names == {"first/old", "first/new"}
    assert load(other, exported(store))[0] == ["small", "other"]


def test_an_unknown_comparison_is_not_exported(store: Store):
    with pytest.raises(UnknownName, match="comparison 'x' is unknown"):
        list(export(store, ["x"]))


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine far from UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()
