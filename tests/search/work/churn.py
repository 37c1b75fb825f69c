"""Thousands of tiny trials while everything around them is killed, frozen, deleted and poisoned.

    python -m tests.search.work.churn --trials 10000 --kills 500 --zombies 50

runs that on an SQLite file of its own, with ``--postgresql`` on a PostgreSQL server of its own,
which ``--restarts`` ends and starts again, and says what became of every trial: each is done once,
with the value of an undisturbed run, or has failed because it ends its process, which one in a
hundred does.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parents[1]))

from churn_times import LEASE_SECONDS  # noqa: E402  # on the path above
from comparisons import comparison  # noqa: E402
from light_trainer import score  # noqa: E402

from tests.postgres_server import postgres_server, restart  # noqa: E402
from tuner.search.database.finished import finished_trials  # noqa: E402
from tuner.search.database.patience import patiently  # noqa: E402
from tuner.search.database.store import Store, open_store  # noqa: E402
from tuner.search.database.tables import events, studies, trials, workers  # noqa: E402
from tuner.search.declared.spaces import suggest  # noqa: E402
from tuner.search.declared.spec import ComparisonSpec  # noqa: E402
from tuner.search.declared.study_spec import StudySpec  # noqa: E402
from tuner.search.queue.control import submit  # noqa: E402

EPOCHS = 3
_CREW = f"""
import sys
sys.path[:0] = [{str(HERE)!r}, {str(HERE.parents[1])!r}]
from churn_trainer import ChurnTrainer
from tuner.search.work import surroundings
from tuner.search.work.service import work
surroundings.IMPORTED = ["tuner.search.work.crew"]  # this trainer needs no torch
work(sys.argv[1], processes=4, make_trainer=ChurnTrainer)
"""
_FROZEN = f"""
import os, signal, sys
sys.path[:0] = [{str(HERE)!r}, {str(HERE.parents[1])!r}]
import churn_times
from sqlalchemy import update
from tuner.search.database.store import open_store
from tuner.search.database.tables import RUNNING, trials
churn_times.shorten()
with open_store(sys.argv[1]).begin() as connection:
    these = update(trials).where(trials.c.state == RUNNING)
    connection.execute(these.values(lease_expires=trials.c.lease_expires))
    os.kill(os.getpid(), signal.SIGSTOP)
"""
_POISONED = 100
_LONGEST_STUDY = 200
_HARMED = 0.9  # the last trials are left alone, or the last harm would come too late
_SECONDS = {"kill": 0.3, "zombie": 2 * LEASE_SECONDS, "freeze": 2 * LEASE_SECONDS, "restart": 5}
"""So long each kind takes, one after the other."""
_OTHERS = "study of others made or deleted"
_STOPPING = ("zombie", "freeze")
HARM = (
    ("kill", 50, "worker processes to kill"),
    ("zombie", 5, "worker processes to stop for longer than their lease"),
    ("freeze", 1, "clients to stop in a transaction that holds trials"),
    ("restart", 0, "times to end the database and start it again"),
)
"""Kind, how often by default, what it is."""


class Churn:
    """What is to be done to whoever works.

    Args:
        store: The database.
        address: Its address.
        specs: What is submitted.
        harm: What is to be done, each so often: "kill" a worker process; make one a "zombie",
            stopped for longer than its lease; "restart" the database; "freeze" a client in a
            transaction that holds all that runs.
        restart: Ends the database in mid-work and starts it again.

    Attributes:
        done: What was done so far.
    """

    def __init__(
        self,
        store: Store,
        address: str,
        specs: list[ComparisonSpec],
        harm: Counter[str],
        restart: Callable[[], None],
    ) -> None:
        self._store, self._address, self._start_again = store, address, restart
        self._n_trials = sum(spec.n_searched for spec in specs)
        self._n_harm = harm.total()
        self._left = list(harm.elements())
        self._chance = random.Random(0)
        self._chance.shuffle(self._left)
        self._stopped: dict[int, float] = {}
        self._clients: list[subprocess.Popen[bytes]] = []
        self.done: Counter[str] = Counter()

    def step(self) -> None:
        """One moment of it."""
        for pid, until in list(self._stopped.items()):
            if time.monotonic() > until:
                _signal(pid, signal.SIGCONT)
                del self._stopped[pid]
        # A stopped process may hold the lock of an SQLite file: nobody here waits for that.
        if not self._stopped and self._chance.random() < 0.1:
            self._others_study()
        free = (kind for kind in self._left if not (self._stopped and kind in _STOPPING))
        kind = next(free, None) if self._due() else None
        if kind is not None and getattr(self, f"_{kind}")():
            self._left.remove(kind)
            self.done[kind] += 1

    @property
    def left(self) -> Counter[str]:
        """What was not done yet."""
        return Counter(self._left)

    def end(self) -> None:
        """Let everybody go on who was stopped."""
        for pid in self._stopped:
            _signal(pid, signal.SIGCONT)
        for client in self._clients:
            client.wait(60)

    def _due(self) -> bool:
        """Whether so many trials have ended as belong to the harm that was done so far.

        A crew whose workers are killed before they have finished anything takes its machine for
        broken, as it should.
        """
        ended = sum(n for state, n in states(self._store).items() if state in ("done", "failed"))
        done = self._n_harm - len(self._left)
        return ended * (self._n_harm + 1) > (done + 1) * _HARMED * self._n_trials

    def _worker(self) -> int | None:
        """The process id of somebody who works and is not stopped."""
        query = select(workers.c.pid).where(workers.c.state == "working")
        with self._store.engine.connect() as connection:
            pids = [pid for pid in connection.scalars(query) if self._may_be_harmed(pid)]
        return self._chance.choice(pids) if pids else None

    def _may_be_harmed(self, pid: int) -> bool:
        """Whether it is a worker's, who is not stopped; if it ended, it may be somebody else's."""
        try:
            environment = Path("/proc", str(pid), "environ").read_bytes()
        except OSError:
            return False
        return b"\0POISON=" in environment and pid not in self._stopped

    def _kill(self) -> bool:
        pid = self._worker()
        return pid is not None and _signal(pid, signal.SIGKILL)

    def _zombie(self) -> bool:
        pid = self._worker()
        if pid is None or not _signal(pid, signal.SIGSTOP):
            return False
        self._stopped[pid] = time.monotonic() + 2 * LEASE_SECONDS
        return True

    def _restart(self) -> bool:
        self._start_again()
        return True

    def _freeze(self) -> bool:
        command = [sys.executable, "-c", _FROZEN, self._address]
        client = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self._clients.append(client)
        _, status = os.waitpid(client.pid, os.WUNTRACED)
        self._stopped[client.pid] = time.monotonic() + 2 * LEASE_SECONDS
        return os.WIFSTOPPED(status)

    def _others_study(self) -> None:
        """Somebody makes a study, or deletes the one before."""
        made = self.done[_OTHERS]
        name = f"someone's {made // 2}"
        if made % 2:
            optuna.delete_study(study_name=name, storage=self._store.rdb)
        else:
            study = optuna.create_study(
                study_name=name, storage=self._store.rdb, load_if_exists=True
            )
            study.enqueue_trial({"x": 1.0})
            study.optimize(lambda trial: trial.suggest_float("x", 0, 2), n_trials=2)
        self.done[_OTHERS] += 1


def _signal(pid: int, number: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def declared(n_trials: int) -> list[ComparisonSpec]:
    """Comparisons of so many trials together."""
    sizes = [_LONGEST_STUDY] * (n_trials // _LONGEST_STUDY)
    sizes += [rest] if (rest := n_trials % _LONGEST_STUDY) else []
    return [
        comparison(
            name=f"churn-{number}",
            arms=[{"name": "new", "space": "magnitude"}],
            verdict={},
            n_trials=size,
            retrain_seeds=0,
            seed=number,
            workload={"epochs": EPOCHS},
        )
        for number, size in enumerate(sizes)
    ]


def poisoned(study: StudySpec) -> set[int]:
    """The indices of the trials that end their process: one in a hundred, and one at least."""
    chance = random.Random(study.seed)
    return set(chance.sample(range(study.n_trials), max(1, study.n_trials // _POISONED)))


def churn(
    database: str,
    n_trials: int,
    *,
    harm: Counter[str],
    restart: Callable[[], None],
    seconds: float,
) -> list[str]:
    """Run it; returns what is wrong in the end, a line each."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    specs = declared(n_trials)
    seeds = [
        study.trial_seed(index)
        for spec in specs
        for study in spec.studies()
        for index in poisoned(study)
    ]
    with closing(open_store(database)) as store:
        for spec in specs:
            submit(store, spec)
        poison = {"POISON": ",".join(map(str, seeds)), "HOW": "9"}
        lasts = sum(n * _SECONDS[kind] for kind, n in harm.items())
        nap = 16 * lasts / (n_trials * EPOCHS)  # four workers train four trials each
        environment = {**os.environ, **poison, "NAP": str(nap)}
        crew = subprocess.Popen([sys.executable, "-c", _CREW, database], env=environment)
        disturbance = Churn(store, database, specs, harm, restart)
        deadline = time.monotonic() + seconds
        try:
            while not patiently(lambda: _complete(store, specs)):
                if crew.poll() is not None:
                    return [f"the crew ended with {crew.returncode}"], disturbance.left
                if time.monotonic() > deadline:
                    found = [f"it did not end within {seconds:g} seconds", *wrong(store, specs)]
                    return found, disturbance.left
                with suppress(DBAPIError, StorageInternalError):
                    disturbance.step()
                time.sleep(0.1)
        finally:
            disturbance.end()
            crew.terminate()
            crew.wait(60)
        for what in (states(store), disturbance.done):
            print(", ".join(f"{n} {kind}" for kind, n in sorted(what.items())))  # noqa: T201
        return wrong(store, specs), disturbance.left


def _complete(store: Store, specs: list[ComparisonSpec]) -> bool:
    return all(store.status(spec.name) == "complete" for spec in specs)


def states(store: Store) -> dict[str, int]:
    with store.engine.connect() as connection:
        query = select(trials.c.state, func.count()).group_by(trials.c.state)
        return {row[0]: row[1] for row in connection.execute(query)}


def wrong(store: Store, specs: list[ComparisonSpec]) -> list[str]:
    """What is not as in an undisturbed run, but for those that end their process."""
    found = []
    for study in (study for spec in specs for study in spec.studies()):
        with store.engine.connect() as connection:
            this = studies.c.study_name == study.study_name
            batch = connection.scalar(select(studies.c.batch).where(this)) or 1
        ended = finished_trials(store, study.study_name)
        indices = [trial.user_attrs["index"] for trial in ended]
        if indices != list(range(study.n_trials)):
            found.append(f"{study.study_name}: {len(indices)} of {study.n_trials} trials ended")
        for trial in ended:
            found += _wrong(study, trial, batch)
    with store.engine.connect() as connection:
        query = select(events.c.data).where(events.c.kind == "finished")
        finished = sum(json.loads(data)["n"] for data in connection.scalars(query))
    done = states(store)["done"]
    return found + ([f"{done} trials are done, {finished} were recorded"] * (finished != done))


def _wrong(study: StudySpec, trial: FrozenTrial, batch: int) -> list[str]:
    index = trial.user_attrs["index"]
    where = f"{study.study_name}, trial {index}"
    if index in poisoned(study):
        reason = str(trial.user_attrs.get("error", "")).splitlines()
        known = bool(reason) and "signal 9 (SIGKILL)" in reason[-1]
        return [] if trial.state.name == "FAIL" and known else [f"{where}: ended as {trial.state}"]
    alone = optuna.create_study(sampler=RandomSampler(seed=study.sampler_seed(index)))
    asked = alone.ask()
    settings = suggest(study.arm.space, asked)
    company = len(study.batch_at(index, batch))
    value = score(settings, study.trial_seed(index), EPOCHS) + 1e-6 * company
    if (trial.state.name, trial.params, trial.value) == ("COMPLETE", asked.params, value):
        return []
    return [f"{where}: {trial.state.name} with {trial.value}, not COMPLETE with {value}"]


def main() -> int:
    """Run it as the arguments say; the exit status is 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--postgresql", action="store_true", help="a server, not an SQLite file")
    parser.add_argument("--trials", type=int, default=1000)
    for kind, n, help_ in HARM:
        parser.add_argument(f"--{kind}s", type=int, default=n, metavar="N", help=help_)
    parser.add_argument("--seconds", type=float, default=7200.0, help="give up after so long")
    given = parser.parse_args()
    harm = Counter({kind: getattr(given, f"{kind}s") for kind, _, _ in HARM})
    if harm["restart"] and not given.postgresql:
        parser.error("--restarts needs --postgresql: SQLite has no server")
    with ExitStack() as at_end:
        if given.postgresql:
            server = at_end.enter_context(postgres_server())
            database, again = server.get_uri(), partial(restart, server)
        else:
            folder = at_end.enter_context(tempfile.TemporaryDirectory())
            database, again = f"sqlite:///{folder}/churn.db", print
        found, left = churn(
            database, given.trials, harm=harm, restart=again, seconds=given.seconds
        )
    found += [f"{n} {kind} could not be done in time" for kind, n in left.items()]
    for line in found:
        print(line)  # noqa: T201  # for whoever runs it
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
