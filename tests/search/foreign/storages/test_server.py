"""Databases behind PostgreSQL and MySQL are read by sessions that may only read."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import create_trial
from sqlalchemy import create_engine, text

from tuner.errors import DatabaseProblem, InvalidInput
from tuner.search.foreign.storages import server
from tuner.search.foreign.storages.server import studies_at

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mysql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty MySQL database, served by MariaDB."""
    if shutil.which("mariadbd") is None:
        why = "no MariaDB here; install Debian's mariadb-server-core and mariadb-client-core"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    folder = tmp_path_factory.mktemp("mysql")
    user = [] if os.geteuid() else ["--user=root"]
    made = [
        "mariadb-install-db",
        "--no-defaults",
        f"--datadir={folder}/data",
        "--auth-root-authentication-method=normal",
    ]
    subprocess.run([*made, *user], check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        "mariadbd",
        "--no-defaults",
        f"--datadir={folder}/data",
        f"--socket={folder}/socket",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        f"--pid-file={folder}/pid",
    ]
    process = subprocess.Popen([*command, *user], stderr=subprocess.DEVNULL)
    try:
        engine = create_engine(f"mysql+pymysql://root@127.0.0.1:{port}")
        deadline = time.monotonic() + 60
        while True:
            try:
                with engine.begin() as connection:
                    connection.execute(text("CREATE DATABASE theirs"))
                    connection.execute(text("CREATE USER me@localhost IDENTIFIED BY 'p@ss:/w'"))
                    connection.execute(text("GRANT ALL ON theirs.* TO me@localhost"))
                break
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        engine.dispose()
        yield f"mysql+pymysql://me:p%40ss%3A%2Fw@127.0.0.1:{port}/theirs"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(params=[pytest.param("postgresql", marks=pytest.mark.postgresql), "mysql"])
def address(request: pytest.FixtureRequest) -> str:
    """The address of a database in which Optuna made the study "old" of five trials."""
    name = "empty_postgres_url" if request.param == "postgresql" else "mysql"
    url = str(request.getfixturevalue(name))
    made = url.replace("postgresql://", "postgresql+psycopg://")
    storage = optuna.storages.RDBStorage(made)
    study = optuna.create_study(storage=storage, study_name="old", load_if_exists=True)
    if not study.trials:
        study.add_trials([create_trial(value=value / 10) for value in range(5)])
    storage.remove_session()
    storage.engine.dispose()
    return url


def execute(address: str, statement: str) -> list[object]:
    engine = create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        found = connection.execute(text(statement))
        rows = [row[0] for row in found] if found.returns_rows else []
    engine.dispose()
    return rows


VERSION = "SELECT version_num FROM alembic_version"


def test_studies_behind_a_server_are_read(address: str):
    with studies_at(address) as studies:
        record = studies["old"]
    assert [trial.value for trial in record.trials] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert record.notes == ()


def test_tables_of_an_older_optuna_are_copied_and_stay(address: str):
    newest = execute(address, VERSION)[0]
    execute(address, "UPDATE alembic_version SET version_num = 'v3.0.0.d'")
    with studies_at(address) as studies:
        record = studies["old"]
    assert [trial.value for trial in record.trials] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert "of an older Optuna (v3.0.0.d)" in record.notes[0] and "p@ss" not in record.notes[0]
    assert execute(address, VERSION) == ["v3.0.0.d"]
    execute(address, f"UPDATE alembic_version SET version_num = '{newest}'")


def test_a_session_may_only_read(address: str):
    with studies_at(address) as studies, pytest.raises(StorageInternalError) as refusal:
        optuna.create_study(storage=studies._storage, study_name="new")
    assert re.search(r"(?i)read.only", str(refusal.value.__cause__))


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_a_server_that_takes_calls_and_does_not_answer_is_waited_for_briefly(
    kind: str, monkeypatch: pytest.MonkeyPatch
):
    for driver, options in server._READ_ONLY.items():
        quick = {name: 2 if name.endswith("timeout") else it for name, it in options.items()}
        monkeypatch.setitem(server._READ_ONLY, driver, quick)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with (
            pytest.raises(DatabaseProblem, match=r"check its host and port, and that it runs"),
            studies_at(f"{kind}://u:p@127.0.0.1:{silent.getsockname()[1]}/x"),
        ):
            pass
        assert time.monotonic() - began < 20


def test_a_server_that_is_not_there_is_told_from_a_wrong_address():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        for kind in ("mysql", "postgresql"):
            with (
                pytest.raises(DatabaseProblem, match=r"u:\*\*\*@127") as refusal,
                studies_at(f"{kind}://u:secret@127.0.0.1:{port}/x"),
            ):
                pass
            assert "secret" not in str(refusal.value)
    with (
        pytest.raises(InvalidInput, match="%40 for an @") as refusal,
        studies_at("mysql://u:p@h:x/"),
    ):
        pass
    assert "u:p" not in str(refusal.value)
