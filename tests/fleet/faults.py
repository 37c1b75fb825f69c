"""A thousand trials on a fleet whose nodes die and whose database goes away.

    python -m tests.fleet.faults --trials 1000

starts a Ray cluster of three nodes and a PostgreSQL server, kills a node every 20 seconds and adds
another, ends and starts the server twice, leaves everybody without one for a minute, and says what
became of every trial: each is complete and was finished once, with the parameters and the value of
an undisturbed run. It takes about six minutes on two cores.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "search"), str(HERE)]

import pytest  # noqa: E402
from comparisons import comparison, outcomes  # noqa: E402  # on the path above
from fleet_trainers import SteadyTrainer  # noqa: E402
from light_trainer import LightTrainer  # noqa: E402
from ray_nodes import NODE, ray_cluster  # noqa: E402
from sqlalchemy import select  # noqa: E402

from tests.postgres_server import postgres_server, restart  # noqa: E402
from tuner.errors import TunerError  # noqa: E402
from tuner.fleet import driver  # noqa: E402
from tuner.fleet.order import Order  # noqa: E402
from tuner.search.database.patience import patiently  # noqa: E402
from tuner.search.database.store import Store, open_store  # noqa: E402
from tuner.search.database.tables import events  # noqa: E402
from tuner.search.declared.spec import ComparisonSpec  # noqa: E402
from tuner.search.fleets.wish import Wish  # noqa: E402
from tuner.search.queue.control import submit  # noqa: E402
from tuner.search.watch.progress import study_progress  # noqa: E402
from tuner.search.work import launch  # noqa: E402

EPOCHS = 30  # a tenth of a second each
OUTAGE_SECONDS = 60.0
_WORKERS = 4
_NODES = 2  # beside the head


class Faults:
    """What is done to a cluster and a database while they work.

    Args:
        cluster: Ray's.
        server: PostgreSQL.
        every_seconds: So often a node dies.

    Attributes:
        killed: How many nodes were killed.
    """

    def __init__(self, cluster: Any, server: Any, every_seconds: float) -> None:
        self._cluster, self._every = cluster, every_seconds
        self._nodes = deque(self._add() for _ in range(_NODES))
        self._next = time.monotonic() + every_seconds
        self._of_server: list[tuple[float, str, Callable[[], None]]] = [
            (0.25, "PostgreSQL ended and started", lambda: restart(server)),
            (
                0.5,
                f"no PostgreSQL for {OUTAGE_SECONDS:g} s",
                lambda: restart(server, after_seconds=OUTAGE_SECONDS),
            ),
            (0.75, "PostgreSQL ended and started", lambda: restart(server)),
        ]
        self.killed = 0

    def step(self, share: float) -> None:
        """One moment of it, when such a share of the trials has ended."""
        if self._of_server and share >= self._of_server[0][0]:
            _, words, harm = self._of_server.pop(0)
            say(words)
            with pytest.MonkeyPatch.context() as patch:
                patch.delenv("RAY_TMPDIR")  # it marks the cluster's processes
                harm()
        if share < 1 and time.monotonic() > self._next:
            self._cluster.remove_node(self._nodes.popleft(), allow_graceful=False)
            self._nodes.append(self._add())
            self.killed += 1
            self._next = time.monotonic() + self._every
            say(f"node killed, another added: {self.killed} so far")

    def _add(self) -> Any:  # Any: Ray's node
        return self._cluster.add_node(**NODE, num_cpus=2)


def say(words: str) -> None:
    """To whoever watches, with the time of day."""
    print(time.strftime("%H:%M:%S"), words, flush=True)  # noqa: T201


def wrong(store: Store, spec: ComparisonSpec, undisturbed: dict[str, Any]) -> list[str]:
    """What is not as in the undisturbed run, a line each."""
    found = []
    for study_name, ended in outcomes(store, spec).items():
        for index in undisturbed[study_name].keys() | ended.keys():
            got, expected = ended.get(index), undisturbed[study_name].get(index)
            if got != expected:
                found.append(f"{study_name}, trial {index}: {got}, not {expected}")
    with store.engine.connect() as connection:
        query = select(events.c.data).where(events.c.kind == "finished")
        finished = sum(json.loads(data)["n"] for data in connection.scalars(query))
    done = sum(study.done for study in study_progress(store, spec.name).values())
    return found + [f"{done} trials are done, {finished} were recorded"] * (finished != done)


def run(n_trials: int, every_seconds: float, seconds: float) -> list[str]:
    """Run it; returns what is wrong in the end, a line each."""
    spec = comparison(n_trials=n_trials // 2, retrain_seeds=0, workload={"epochs": EPOCHS})
    with tempfile.TemporaryDirectory() as folder:
        calm = f"sqlite:///{folder}/calm.db"
        launch.run(spec, database=calm, workers=2, make_trainer=LightTrainer)
        with closing(open_store(calm)) as store:
            undisturbed = outcomes(store, spec)
    say(f"undisturbed: {sum(map(len, undisturbed.values()))} trials are done")
    with postgres_server() as server:
        server.psql("create database fleet;")
        database = server.get_uri("fleet")
        with closing(open_store(database)) as store, ray_cluster() as cluster:
            faults = Faults(cluster, server, every_seconds)
            order = Order(database, Wish(*[_WORKERS] * 3), make_trainer=SteadyTrainer)
            driver.up(cluster.address, order)
            submit(store, spec)
            deadline, told = time.monotonic() + seconds, 0
            while patiently(lambda: store.status(spec.name)) != "complete":
                if time.monotonic() > deadline:
                    return [
                        f"it did not end within {seconds:g} seconds",
                        *wrong(store, spec, undisturbed),
                    ]
                studies = patiently(lambda: study_progress(store, spec.name)).values()
                done = sum(study.done + study.failed for study in studies)
                if done >= told + n_trials // 10:
                    say(f"{done} of {n_trials} trials have ended")
                    told = done
                faults.step(done / n_trials)
                time.sleep(0.5)
            say(f"all have ended; {faults.killed} nodes were killed")
            found = wrong(store, spec, undisturbed)
            try:
                driver.down(cluster.address)
            except TunerError as error:
                found.append(str(error))
    return found


def main() -> int:
    """Run it as the arguments say; the exit status is 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--every", type=float, default=20.0, help="seconds between nodes' deaths")
    parser.add_argument("--seconds", type=float, default=3600.0, help="give up after so long")
    given = parser.parse_args()
    found = run(given.trials, given.every, given.seconds)
    for line in found[:20]:
        say(line)
    say(f"{len(found)} things are wrong" if found else "all as undisturbed, each once")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
