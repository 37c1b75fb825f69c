"""A fleet on a Ray cluster of several nodes on this machine, and a real PostgreSQL."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from comparisons import comparison, outcomes
from fastapi.testclient import TestClient
from fleet_trainers import ENDLESS, EndlessTrainer, SteadyTrainer
from light_trainer import LightTrainer
from ray_nodes import NODE

from tests.cli.commands import SPEC, tuner, write
from tests.search.database.storage.pooler import is_installed, pooled
from tuner.api.app import create_app
from tuner.api.settings import Settings
from tuner.errors import Conflict, InvalidInput, NotFound, TunerError
from tuner.fleet import cluster as ways
from tuner.fleet import driver, running
from tuner.fleet.code import code_here
from tuner.fleet.manager import MANAGER
from tuner.fleet.order import Order, Shape
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store, open_store
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.fleets.wish import Wish
from tuner.search.queue.control import submit
from tuner.search.watch.progress import Progress, study_progress
from tuner.search.watch.views import list_workers
from tuner.search.work import launch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray has its own, of its processes and its future
]

WAIT_SECONDS = 240.0
GPU_NODE = {**NODE, "num_cpus": 2, "num_gpus": 1}
"""It has a GPU as far as Ray knows."""

SMALL_SPEC = comparison(n_trials=24, workload={"epochs": 6})


@pytest.fixture(scope="module")
def address(cluster: Any) -> str:
    return str(cluster.address)


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    with closing(open_store(postgres_url)) as opened:
        yield opened


@pytest.fixture
def order(postgres_url: str) -> Order:
    return Order(postgres_url, Wish(2, 2, 2), make_trainer=SteadyTrainer)


@pytest.fixture(autouse=True)
def no_fleet_left(address: str) -> Iterator[None]:
    yield
    try:
        driver.down(address)
    except NotFound:
        return


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(1.0)


def trials(store: Store, name: str, state: str) -> int:
    """How many trials of a comparison are in a state."""
    return sum(getattr(study, state) for study in study_progress(store, name).values())


def live(store: Store) -> set[str]:
    """The names of the worker processes that are up."""
    return {row.name for row in list_workers(store) if row.state in ("idle", "working")}


def is_complete(store: Store) -> bool:
    return store.status("small") == "complete"


def is_answered(address: str) -> bool:
    """Whether a manager that Ray starts again is there, and its worker has answered it."""
    try:
        return driver.status(address).fleet.up == 1
    except TunerError:
        return False


def places(store: Store, spec: ComparisonSpec) -> list[dict[str, Any]]:
    """What every finished trial says of where it ran."""
    names = [study.study_name for study in spec.every_study()]
    return [t.user_attrs["run"] for name in names for t in finished_trials(store, name)]


def test_what_a_cluster_cannot_have_or_has_not_is_said(address, order, monkeypatch):
    for command in (("status",), ("scale", 2), ("down",)):
        done = tuner("fleet", *command, "--address", address)
        assert done.exit_code == 1
        assert "no fleet is up in this cluster" in done.stderr
    many = ("fleet", "up", "--workers", 5, "--gpus", 0.5, "--address", address)
    done = tuner(*many, "--database", order.database)
    assert done.exit_code == 2
    assert "2 CPUs, 0 GPUs" in done.stderr and "room for 0;" in " ".join(done.stderr.split())
    import ray

    monkeypatch.setattr(ray, "__version__", "2.59.0")
    with pytest.raises(InvalidInput, match=r"another version of Ray .*Ray: 2\.59\.0"):
        driver.status(address)


def test_a_cluster_with_other_code_is_refused_with_what_differs(address, order, monkeypatch):
    monkeypatch.setattr(driver, "code_here", lambda: {**code_here(), "source": "0123456789ab"})
    with pytest.raises(InvalidInput, match=r"source is \w{12} there, 0123456789ab here"):
        driver.up(address, order)
    with pytest.raises(NotFound):
        driver.status(address)


@pytest.fixture
def add_gpu_node(cluster):
    """Adds a node with a GPU; those that are there in the end are taken away."""
    added = []

    def add():
        added.append(cluster.add_node(**GPU_NODE))
        return added[-1]

    yield add
    for node in added:
        if node in cluster.worker_nodes:
            cluster.remove_node(node)


def test_no_trial_is_lost_or_run_twice_when_a_node_dies_and_another_comes(
    address, cluster, add_gpu_node, store, order, tmp_path
):
    node = add_gpu_node()
    shape, wish = Shape(gpus=0.5), Wish(1, 1, 2, idle_seconds=2.0)
    began = driver.up(address, replace(order, shape=shape, wish=wish))
    assert (began.up, began.target) == (1, 1)
    with pytest.raises(Conflict, match="a fleet is already up in this cluster"):
        driver.up(address, order)

    submit(store, SMALL_SPEC)
    wait_until(lambda: len(live(store)) == 2 and trials(store, "small", "done") > 0)
    cluster.remove_node(node, allow_graceful=False)
    node = add_gpu_node()
    wait_until(lambda: is_complete(store))

    calm = f"sqlite:///{tmp_path}/calm.db"
    launch.run(SMALL_SPEC, database=calm, workers=1, make_trainer=LightTrainer)
    with closing(open_store(calm)) as undisturbed:
        assert outcomes(store, SMALL_SPEC) == outcomes(undisturbed, SMALL_SPEC)
    ran = places(store, SMALL_SPEC)
    assert len(ran) == len(places(undisturbed, SMALL_SPEC))
    assert len({place["node"] for place in ran}) == 2
    for place in ran:
        assert place["gpus"] == ["0"] and place["host"]
        assert place["versions"]["ray"] and place["source"] == code_here()["source"]

    wait_until(lambda: len(driver.status(address).fleet.workers) == 1)  # nothing waits
    fixed = tuner("fleet", "scale", 1, "--address", address)
    assert "1 worker from now on" in fixed.output
    before = live(store)
    assert len(before) == 1
    with ways.entered(address) as ray:
        ray.kill(ways.named(ray, MANAGER), no_restart=False)
    wait_until(lambda: is_answered(address))
    assert live(store) == before  # it found the worker that it has
    shown = json.loads(tuner("fleet", "status", "--json", "--address", address).stdout)
    assert [each["head"] for each in shown["nodes"]] == [True, False]
    assert (shown["target"], shown["wish"]["most"], len(shown["workers"])) == (1, 1, 1)
    assert shown["workers"][0]["node_id"] == node.node_id
    assert shown["workers"][0]["device"] == "gpu 0"
    assert "room for 2;" in " ".join(
        tuner("fleet", "scale", 3, "--address", address).stderr.split()
    )
    seen = tuner("fleet", "status", "--address", address).output
    assert "1 of 1 worker up" in seen and "(head)" in seen
    ended = tuner("fleet", "down", "--address", address)
    assert ended.output.endswith("the fleet is down; no trial is lost\n")


def test_a_fleet_of_none_grows_with_the_queue_and_says_while_its_database_is_away(
    address, postgres, store, order
):
    began = driver.up(address, replace(order, wish=Wish(0, 0, 2, idle_seconds=1.0)))
    assert (began.target, began.workers) == (0, ())
    submit(store, SMALL_SPEC)
    wait_until(lambda: is_complete(store))
    assert {place["host"] for place in places(store, SMALL_SPEC)}
    wait_until(lambda: not driver.status(address).fleet.workers)

    def shown() -> str:
        return tuner("fleet", "status", "--address", address).output

    name = store.engine.url.database
    postgres.psql(f"alter database {name} allow_connections false;")
    all_of_it = f"from pg_stat_activity where datname = '{name}'"
    postgres.psql(f"select pg_terminate_backend(pid) {all_of_it};")
    wait_until(lambda: "is not currently accepting connections" in shown())
    assert "trouble: " in shown() and "0 of 0 workers up, from 0 to 2" in shown()
    postgres.psql(f"alter database {name} allow_connections true;")
    wait_until(lambda: "trouble" not in shown())


def test_a_server_without_ray_shows_the_fleet_and_scales_it(address, store, order):
    driver.up(address, replace(order, wish=Wish(1, 1, 1)))
    app = create_app(Settings(database=order.database, secret="not a secret at all"))
    here = {"base_url": "http://127.0.0.1", "client": ("127.0.0.1", 50_000)}
    with TestClient(app, **here) as client:
        (fleet,) = client.get("/v1/fleets").json()["items"]
        place = f"/v1/fleets/{fleet['id']}"

        def shown(what: str) -> Any:
            return client.get(place).json()[what]

        assert (fleet["address"], fleet["state"], fleet["room"]) == (address, "up", 2)
        assert client.patch(place, json={"workers": 3}).status_code == 422
        with ways.entered(address) as ray:
            ray.kill(ways.named(ray, MANAGER), no_restart=False)
        assert client.patch(place, json={"workers": 2}).status_code == 200  # nobody is there
        wait_until(lambda: shown("up") == len(live(store)) == 2)
        assert driver.status(address).fleet.target == 2 and not shown("pending")

        driver.scale(address, 1)
        wait_until(lambda: shown("max") == shown("up") == 1)
        assert driver.status(address).fleet.fleet_id == fleet["id"]
        driver.down(address)
        assert (shown("state"), shown("up")) == ("down", 0)


def test_a_comparison_is_run_on_a_fleet_of_its_own_by_one_option(
    address, postgres_url, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    where = ("--fleet", address, "--database", postgres_url)
    done = tuner("run", write(SPEC), *where, "--workers", 1)
    assert done.exit_code == 0, done.output
    assert "best of 2" in done.output
    with pytest.raises(NotFound):
        driver.status(address)


def test_a_run_joins_the_fleet_that_is_up_and_asked_twice_to_end_that_does_so_at_once(
    address, store, order, sqlite_url, monkeypatch
):
    driver.up(address, replace(order, wish=Wish(1, 1, 1), make_trainer=EndlessTrainer))

    def run(**changes: Any) -> Progress:
        where = {"address": address, "database": order.database, **changes}
        return running.run(comparison(retrain_seeds=0), **where)

    with pytest.raises(InvalidInput, match="works on another database"):
        run(database=sqlite_url)
    with pytest.raises(InvalidInput, match="tuner fleet scale 4"):
        run(workers=4)
    with monkeypatch.context() as patch, pytest.raises(InvalidInput, match=r"9\.9 here"):
        patch.setattr(driver, "code_here", lambda: {**code_here(), "bnn-tuner": "9.9"})
        run()
    assert run().complete
    assert driver.status(address).fleet.up == 1

    submit(store, comparison(name="endless", n_trials=24, workload={"epochs": ENDLESS}))
    wait_until(lambda: trials(store, "endless", "running") > 0)
    command = [sys.executable, "-m", "tuner", "fleet", "down", "--address", address]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: driver.status(address).fleet.draining)
    assert first.poll() is None  # its epoch does not end
    assert driver.down(address)
    words, _ = first.communicate(timeout=WAIT_SECONDS)
    assert "the fleet is down" in words
    assert (trials(store, "endless", "running"), trials(store, "endless", "waiting")) == (0, 48)


OWN_SPEC = """
n_trials = 4
retrain_seeds = 0

[workload]
objective = "travelling:objective"
epochs = 1

[[arms]]
name = "filter"
space = "filter"

[[arms]]
name = "magnitude"
space = "magnitude"
"""
OWN_CODE = """
import os

def objective(trial):
    assert "py_modules_files" in __file__ and os.environ["MINE"] == "set"
    return 0.5
"""


def test_code_of_ones_own_travels_with_the_command_that_names_it(
    address, postgres_url, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib" / "travelling").mkdir(parents=True)
    module = tmp_path / "lib" / "travelling" / "__init__.py"
    where = ("--fleet", address, "--database", postgres_url, "--workers", 1)
    variables = {"TUNER_WORKLOADS": "travelling", "MINE": "set"}
    environment = json.dumps({"py_modules": ["./lib/travelling"], "env_vars": variables})

    def run() -> Any:
        return tuner("run", write(OWN_SPEC), *where, "--runtime-env-json", environment)

    module.write_text("import not_there_at_all", encoding="utf-8")
    done = run()
    words = " ".join(done.stderr.split())
    assert done.exit_code == 2 and "cannot import: travelling: ModuleNotFoundError" in words
    with pytest.raises(NotFound):
        driver.status(address)
    module.write_text(OWN_CODE, encoding="utf-8")
    done = run()
    assert done.exit_code == 0, done.output
    assert "done after" in done.output


@pytest.mark.skipif(not is_installed(), reason="Debian's pgbouncer is not installed")
def test_a_fleet_works_through_a_pooler_by_few_connections(address, order, postgres_url):
    with pooled(postgres_url, connections=2) as through:
        driver.up(address, replace(order, database=through))
        assert running.run(SMALL_SPEC, address=address, database=through).complete
        with psycopg.connect(postgres_url) as watching:
            count = "select count(*) from pg_stat_activity where datname = current_database()"
            assert watching.execute(count).fetchone() == (2 + 1,)  # this one
        driver.down(address)
