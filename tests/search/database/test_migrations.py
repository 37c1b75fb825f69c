"""From the tables of older software to today's, with what is in them."""

from contextlib import closing
from pathlib import Path

import optuna
import pytest
from alembic import command
from comparisons import comparison, work_here
from light_trainer import LightTrainer
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, MetaData, Table, create_engine, insert, inspect

from tuner.errors import DatabaseProblem
from tuner.search.database import opening as databases
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import SCHEMA, VERSION_TABLE
from tuner.search.declared.spec import declaration_hash
from tuner.search.foreign.record import record_of
from tuner.search.queue.control import change_comparison, submit
from tuner.search.watch.progress import study_progress
from tuner.search.work.keeper import Keeper

SPEC = comparison(repeats=2, n_trials=4)
WAITING = comparison(name="later", retrain_seeds=0)
KNOWN = {study.study_name for study in SPEC.every_study() if study.part != "selected"}
"""The studies of the first that version 0001 knew: it trained no settings selected afresh."""


@pytest.fixture
def database(empty_database: str) -> str:
    """Without tables: how they are made is what is tested."""
    return empty_database


def run_to_the_end(store: Store) -> dict[str, list[FrozenTrial]]:
    for _ in range(3):
        Keeper(store).tend()
        work_here(store, trainer=LightTrainer("cpu"))
    Keeper(store).tend()
    assert store.status("small") == "complete"
    return {
        study.study_name: finished_trials(store, study.study_name) for study in SPEC.every_study()
    }


@pytest.fixture
def undisturbed(tmp_path: Path) -> dict[str, list[FrozenTrial]]:
    """The trials of a comparison that today's software ran alone, by study."""
    with closing(open_store(f"sqlite:///{tmp_path}/undisturbed.db")) as store:
        store.declare(SPEC)
        return run_to_the_end(store)


def results(found: dict[str, list[FrozenTrial]]) -> dict[str, list[object]]:
    return {
        name: [(t.params, t.value, t.state, t.user_attrs["seed"]) for t in trials]
        for name, trials in found.items()
    }


def migrate(connection: Connection, version: str) -> None:
    config = databases._scripts()
    config.attributes["connection"] = connection
    command.upgrade(config, version)


def make_version_1(url: str, finished: dict[str, list[FrozenTrial]]) -> None:
    """A database as version 0001 left it when its workers were killed half-way.

    Of each search the first trial is finished, the second was in training, the others wait; a
    second comparison was declared, and nothing more.
    """
    storage = RDBStorage(str(databases.normalise(url).render_as_string(hide_password=False)))
    with storage.engine.begin() as connection:
        migrate(connection, "0001")
        known = MetaData()
        comparisons = Table("tuner_comparisons", known, autoload_with=connection)
        trials = Table("tuner_trials", known, autoload_with=connection)
        for created, spec in enumerate((SPEC, WAITING)):
            connection.execute(
                insert(comparisons).values(
                    name=spec.name,
                    declaration_hash=declaration_hash(spec),
                    spec=spec.model_dump_json(),
                    created=1.7e9 + created,
                )
            )
    for study in SPEC.studies():
        study_id = storage.create_new_study([StudyDirection.MAXIMIZE], study.study_name)
        written = study.model_dump(mode="json", exclude={"part"}) | {"retrain": False}
        storage.set_study_user_attr(study_id, "spec", written)
        for index in range(study.n_trials):
            row: dict[str, object] = {"state": "waiting", "attempts": 0, "failures": 0}
            template = create_trial(
                state=TrialState.WAITING,
                user_attrs={"index": index, "seed": study.trial_seed(index)},
            )
            if index == 0:
                template = finished[study.study_name][0]
                row |= {"state": "done", "value": template.value, "attempts": 1}
            trial_id = storage.create_new_trial(study_id, template)
            if index == 1:
                storage.set_trial_state_values(trial_id, TrialState.RUNNING)
                row |= {"state": "running", "worker": "dead", "lease_expires": 1.7e9}
            row |= {"trial_id": trial_id, "comparison": "small", "position": index}
            with storage.engine.begin() as connection:
                connection.execute(insert(trials).values(study_name=study.study_name, **row))
    storage.engine.dispose()


@pytest.mark.slow
def test_a_half_run_comparison_goes_on_after_the_upgrade_to_the_same_results(
    database: str, undisturbed: dict[str, list[FrozenTrial]]
):
    make_version_1(database, undisturbed)
    with pytest.raises(DatabaseProblem, match=rf"0001, .* needs {SCHEMA}; .*: tuner db upgrade$"):
        open_store(database)
    assert databases.upgrade(database) == ("0001", SCHEMA)
    assert databases.upgrade(database) == (SCHEMA, SCHEMA)
    with closing(open_store(database, must_exist=True)) as store:
        assert store.names() == ["small", "later"]
        for study in SPEC.studies():
            record = record_of(optuna.load_study(study_name=study.study_name, storage=store.rdb))
            assert record.ours is not None
        assert store.comparison("small") == SPEC
        assert not submit(store, SPEC)
        progress = study_progress(store, "small")
        assert set(progress) == KNOWN
        assert {study.finished for study in progress.values() if study.queued} == {1}
        change_comparison(store, "later", "cancel")
        after = run_to_the_end(store)
    assert results(after) == results(
        {name: trials if name in KNOWN else [] for name, trials in undisturbed.items()}
    )
    assert {name for name, trials in after.items() if trials} == KNOWN
    assert {name for name, trials in undisturbed.items() if not trials} == set()
    for study in SPEC.studies():  # what was finished is as it was
        assert after[study.study_name][0].user_attrs == undisturbed[study.study_name][0].user_attrs


@pytest.mark.slow
def test_an_upgrade_that_breaks_off_changes_none_of_our_tables(
    database: str, undisturbed: dict[str, list[FrozenTrial]]
):
    make_version_1(database, undisturbed)
    engine = create_engine(databases.normalise(database))
    before = inspect(engine).get_table_names()
    with engine.begin() as connection:  # what the last step of the migration trips over
        connection.exec_driver_sql("update tuner_comparisons set spec = '[]' where name = 'later'")
    with pytest.raises(TypeError):
        databases.upgrade(database)
    assert inspect(engine).get_table_names() == before
    with engine.begin() as connection:
        found = connection.exec_driver_sql(f"select version_num from {VERSION_TABLE}").scalar()
        connection.exec_driver_sql("delete from tuner_comparisons where name = 'later'")
    engine.dispose()
    assert found == "0001"
    assert databases.upgrade(database) == ("0001", SCHEMA)


def test_an_empty_database_gets_its_tables(database: str):
    assert databases.upgrade(database) == (None, SCHEMA)
    with closing(open_store(database, must_exist=True)) as store:
        assert store.names() == []


def test_a_database_of_optuna_s_gets_ours_and_keeps_its_studies(database: str):
    storage = databases.connect_optuna(databases.normalise(database), must_exist=False)
    storage.create_new_study([StudyDirection.MINIMIZE], "someone's")
    storage.engine.dispose()
    assert databases.upgrade(database) == (None, SCHEMA)
    with closing(open_store(database, must_exist=True)) as store:
        assert [study.study_name for study in store.rdb.get_all_studies()] == ["someone's"]


def test_tables_of_newer_software_are_refused_and_left_alone(database: str):
    databases.upgrade(database)
    with closing(open_store(database)) as store, store.engine.begin() as connection:
        connection.exec_driver_sql(f"update {VERSION_TABLE} set version_num = '9999'")
    for act in (open_store, databases.upgrade):
        with pytest.raises(DatabaseProblem, match=r"version 9999, .*; use the newer software"):
            act(database)


def trial_indexes(store: Store) -> set[str | None]:
    return {index["name"] for index in inspect(store.engine).get_indexes("trials")}


@pytest.mark.slow
def test_optuna_s_older_tables_are_refused_and_brought_up_to_date(database: str):
    with closing(open_store(database)) as store:
        store.declare(SPEC)
        Keeper(store).tend()
        with store.engine.begin() as connection:  # as Optuna 3.0 had them: without this index
            connection.exec_driver_sql("drop index ix_trials_study_id")
            connection.exec_driver_sql("update alembic_version set version_num = 'v3.0.0.d'")
    with pytest.raises(
        DatabaseProblem, match=r"Optuna's tables are of version v3\.0\.0\.d.*: tuner db upgrade$"
    ):
        open_store(database)
    assert databases.upgrade(database) == (SCHEMA, SCHEMA)
    with closing(open_store(database)) as store:
        assert store.rdb.get_current_version() == store.rdb.get_head_version()
        assert "trials_study_id_key" in trial_indexes(store)
        run_to_the_end(store)


@pytest.mark.slow
def test_optuna_s_newer_tables_are_refused_and_left_alone(database: str):
    with closing(open_store(database)) as store, store.engine.begin() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = 'v99.0.0.a'")
    for act in (open_store, databases.upgrade):
        with pytest.raises(DatabaseProblem, match="use the newer Optuna that made them"):
            act(database)
