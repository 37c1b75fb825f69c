"""From the tables of an older version of the software to today's, with what is in them."""

from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from comparisons import comparison, enqueue, work_here
from light_trainer import LightTrainer
from sqlalchemy import MetaData, Table, create_engine, insert, select

from tuner.errors import DatabaseProblem
from tuner.search import database as databases
from tuner.search.keeper import Keeper
from tuner.search.progress import study_progress
from tuner.search.queue import Queue
from tuner.search.spec import declaration_hash
from tuner.search.store import open_store
from tuner.search.studies import finished_trials
from tuner.search.tables import SCHEMA, VERSION_TABLE

SPEC = comparison()


def as_version_1(url: str) -> None:
    """Take a comparison that is half run back to the tables of version 1."""
    with closing(open_store(url)) as store:
        enqueue(store, SPEC)
        queue = Queue(store)
        (trial_id, *_) = queue.claim("small/old", "here", range(4)).trial_ids
        queue.report("here", 1, {trial_id: 0.5})
        queue.release(["here"])
        with store.engine.connect() as connection:
            queued = connection.execute(select(_table(store.engine, "tuner_trials"))).all()
        rows = [row._asdict() for row in queued]
        with store.engine.begin() as connection:
            for name in ("trials", "studies", "workers", "keys", "requests", "events"):
                connection.exec_driver_sql(f"drop table tuner_{name}")
            connection.exec_driver_sql("drop table tuner_comparisons")
            connection.exec_driver_sql(f"drop table {VERSION_TABLE}")
            config = databases._scripts()
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
        with store.engine.begin() as connection:
            connection.execute(
                insert(_table(store.engine, "tuner_comparisons")).values(
                    name=SPEC.name,
                    declaration_hash=declaration_hash(SPEC),
                    spec=SPEC.model_dump_json(),
                    created=1.7e9,
                )
            )
            connection.execute(insert(_table(store.engine, "tuner_trials")), rows)


def _table(engine, name: str) -> Table:
    return Table(name, MetaData(), autoload_with=engine)


def outcomes(url: str) -> dict[str, list[tuple[object, ...]]]:
    with closing(open_store(url)) as store:
        for _ in range(3):
            Keeper(store).tend()
            work_here(store, trainer=LightTrainer("cpu"))
        return {
            study.study_name: [
                (t.params, t.value) for t in finished_trials(store, study.study_name)
            ]
            for study in SPEC.every_study()
        }


def test_a_half_run_comparison_goes_on_after_the_tables_were_brought_up_to_date(
    database: str, tmp_path: Path
):
    as_version_1(database)
    with pytest.raises(DatabaseProblem, match=r"version 0001, .* needs 0002; .* tuner db upgrade"):
        open_store(database)
    assert databases.upgrade(database) == ("0001", SCHEMA)
    assert databases.upgrade(database) == (SCHEMA, SCHEMA)
    with closing(open_store(database)) as store:
        assert store.comparison("small") == SPEC
        assert set(study_progress(store, "small")) == {s.study_name for s in SPEC.every_study()}
        assert store.status("small") == "active"
    undisturbed = f"sqlite:///{tmp_path}/other.db"
    with closing(open_store(undisturbed)) as store:
        store.declare(SPEC)
    assert outcomes(database) == outcomes(undisturbed)


def test_an_empty_database_gets_its_tables(database: str):
    assert databases.upgrade(database) == (None, SCHEMA)
    with closing(open_store(database, must_exist=True)) as store:
        assert store.names() == []


def test_tables_of_newer_software_are_refused_and_left_alone(database: str):
    databases.upgrade(database)
    with closing(open_store(database)) as store, store.engine.begin() as connection:
        connection.exec_driver_sql(f"update {VERSION_TABLE} set version_num = '9999'")
    for act in (open_store, databases.upgrade):
        with pytest.raises(DatabaseProblem, match=r"version 9999, .* use the newer software"):
            act(database)


def test_optuna_s_tables_of_another_version_are_refused(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/a.db"
    databases.upgrade(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = 'v99.0.0.a'")
    engine.dispose()
    with pytest.raises(DatabaseProblem, match=r"v99\.0\.0\.a; use the newer Optuna"):
        databases.upgrade(url)
