import sqlite3
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from comparisons import comparison

import tuner.search.database.migrations
from tuner.errors import DatabaseProblem, InvalidInput, UnknownName
from tuner.search.database.opening import normalise
from tuner.search.database.store import open_store
from tuner.search.database.tables import SCHEMA, VERSION_TABLE, metadata


def test_the_migrations_make_exactly_the_tables_described(empty_database: str):
    ours = set(metadata.tables)
    with closing(open_store(empty_database)) as store, store.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "include_name": lambda name, kind, _: kind != "table" or name in ours,
            },
        )
        assert compare_metadata(context, metadata) == []


def test_the_schema_named_in_the_code_is_the_newest_migration():
    folder = Path(tuner.search.database.migrations.__file__).parent
    assert ScriptDirectory(str(folder)).get_current_head() == SCHEMA


def test_opening_a_database_twice_changes_nothing(database: str):
    with closing(open_store(database)) as store:
        store.declare(comparison())
    with closing(open_store(database, must_exist=True)) as store:
        assert store.names() == ["small"]
        assert store.comparison("small") == comparison()


def test_sqlite_runs_in_wal_mode_and_waits_for_other_writers(tmp_path: Path):
    with (
        closing(open_store(f"sqlite:///{tmp_path}/a.db")) as store,
        store.engine.connect() as connection,
    ):
        pragmas = ("journal_mode", "synchronous", "busy_timeout")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    assert found == ["wal", 1, 60_000]


def test_postgres_addresses_mean_psycopg_3():
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        assert normalise(f"{scheme}://me@host/db").drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tuner.db", "'tuner.db' is not an address; write sqlite:///FILE"),
        ("", "'' is not an address"),
        ("mysql://me:secret@host/db", r"mysql://me:\*\*\*@host/db: mysql is not supported"),
        ("sqlite://", "processes cannot share memory"),
        ("sqlite:///:memory:", "processes cannot share memory"),
    ],
)
def test_a_malformed_address_is_refused(address: str, words: str):
    with pytest.raises(InvalidInput, match=words):
        open_store(address)


def refused(address: str, *, must_exist: bool = False) -> str:
    """The one line in which the database is refused."""
    with pytest.raises(DatabaseProblem) as refusal:
        open_store(address, must_exist=must_exist)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_missing_folder_or_a_folder_in_place_of_the_file_is_refused(tmp_path: Path):
    assert "does not exist; create it" in refused(f"sqlite:///{tmp_path}/no/a.db")
    assert "is a folder; name a file in it" in refused(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "a.db"
    path.write_text("not a database, but a text that is long enough to look like a page " * 20)
    before = path.read_bytes()
    assert "file is not a database" in refused(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_read_only_database_is_refused(tmp_path: Path):
    path = tmp_path / "a.db"
    sqlite3.connect(path).close()
    path.touch()
    assert "readonly" in refused(f"sqlite:///file:{path}?mode=ro&uri=true")


def test_a_database_that_must_exist_is_not_made(tmp_path: Path):
    path = tmp_path / "a.db"
    assert "there is no file" in refused(f"sqlite:///{path}", must_exist=True)
    assert not path.exists()


def test_a_database_without_our_tables_is_refused_where_it_must_exist(tmp_path: Path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table other (a int)")
    assert "holds no Optuna studies" in refused(f"sqlite:///{path}", must_exist=True)


def test_a_server_that_does_not_answer_is_one_line_without_the_password():
    line = refused("postgresql://me:secret@127.0.0.1:1/db")
    assert "Connection refused" in line
    assert "secret" not in line


def test_tables_of_a_newer_version_are_refused(database: str):
    with closing(open_store(database)) as store, store.engine.begin() as connection:
        connection.exec_driver_sql(f"update {VERSION_TABLE} set version_num = '9999'")
    line = refused(database)
    assert f"are of version 9999, this software needs {SCHEMA}; use the newer software" in line


def test_tables_of_an_older_version_are_refused_with_the_command_that_mends_them(database: str):
    with closing(open_store(database)) as store, store.engine.begin() as connection:
        connection.exec_driver_sql(f"update {VERSION_TABLE} set version_num = '0001'")
    line = refused(database)
    assert f"are of version 0001, this software needs {SCHEMA}; bring them up to date" in line
    assert line.endswith("with: tuner db upgrade")


def test_as_many_connections_can_be_open_as_a_server_has_threads(database: str):
    with closing(open_store(database)) as store, ExitStack() as busy:
        for _ in range(50):
            busy.enter_context(store.engine.connect())
        busy.close()
        if store.engine.dialect.name == "sqlite":
            assert store.engine.pool.checkedin() == 40
        else:
            with store.engine.connect() as connection:
                found = connection.connection.driver_connection.info.get_parameters()
            assert (found["keepalives_idle"], found["connect_timeout"]) == ("30", "10")


def test_another_optuna_s_tables_are_refused(tmp_path: Path):
    path = tmp_path / "a.db"
    open_store(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update alembic_version set version_num = 'v99.0.0.a'")
    line = refused(f"sqlite:///{path}")
    assert "Optuna's tables are of version v99.0.0.a, Optuna" in line
    assert line.endswith("use the newer Optuna that made them, or another database")


def test_a_comparison_under_a_taken_name_is_refused(database: str):
    with closing(open_store(database)) as store:
        store.declare(comparison())
        store.declare(comparison(description="the same in other words"))
        words = (
            r"'small'.*another declaration under this name \(n_trials 6 there, 7 here; hash "
            r"\w{12} there, \w{12} here\); change the name"
        )
        with pytest.raises(InvalidInput, match=words):
            store.declare(comparison(n_trials=7))
        assert store.comparison("small").n_trials == 6


def test_an_unknown_comparison_is_refused_with_those_that_exist(database: str):
    with closing(open_store(database)) as store:
        store.declare(comparison())
        with pytest.raises(UnknownName, match=r"comparison 'smal' is unknown; did you mean"):
            store.comparison("smal")


@pytest.mark.parametrize(
    "address",
    ["postgresql://u:hunter2@h:54x2/db", "postgresql://127.0.0.1:1/db?password=hunter2"],
)
def test_no_message_shows_a_password_wherever_it_stands(address: str):
    with pytest.raises((DatabaseProblem, InvalidInput)) as refusal:
        open_store(address)
    assert "hunter2" not in str(refusal.value)


def test_every_connection_to_postgres_has_limits_to_how_long_it_holds_up_others(postgres_url: str):
    with closing(open_store(postgres_url)) as store:
        for _ in range(2):
            with store.engine.connect() as connection:
                shown = {
                    name: connection.exec_driver_sql(f"SHOW {name}").scalar()
                    for name in ("lock_timeout", "idle_in_transaction_session_timeout")
                }
            assert shown == {"lock_timeout": "10s", "idle_in_transaction_session_timeout": "10min"}
            store.engine.dispose()


def test_connections_that_are_not_needed_any_more_are_given_back(postgres_url: str):
    count = "select count(*) from pg_stat_activity where datname = current_database()"
    with closing(open_store(postgres_url)) as store, ExitStack() as busy:
        for _ in range(30):
            busy.enter_context(store.engine.connect()).exec_driver_sql("select 1")
        with closing(open_store(postgres_url)) as other, other.reader.connect() as watching:
            assert watching.exec_driver_sql(count).scalar() > 30
            busy.close()
            deadline = time.monotonic() + 60
            while watching.exec_driver_sql(count).scalar() > 8 + 2:
                assert time.monotonic() < deadline, "they are kept"
                time.sleep(0.05)
        assert store.engine.pool.checkedin() == 8  # type: ignore[attr-defined]
