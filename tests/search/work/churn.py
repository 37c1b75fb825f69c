"""Thousands of tiny trials while everything around them is killed, frozen, deleted and poisoned.

    python -m tests.search.work.churn --trials 10000 --kills 500 --zombies 50

runs that on an SQLite file of its own, or on an empty database that ``--database`` names, and says
what became of every trial: each is done once, with the value of an undisturbed run, or has failed
because it ends its process, which one in a hundred does.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parents[1]))

from churn_trainer import LEASE_SECONDS  # noqa: E402  # on the path above
from comparisons import comparison  # noqa: E402
from light_trainer import score  # noqa: E402

from tuner.search.database.finished import finished_trials  # noqa: E402
from tuner.search.database.patience import patiently  # noqa: E402
from tuner.search.database.store import Store, open_store  # noqa: E402
from tuner.search.database.tables import studies, trials, workers  # noqa: E402
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
_POISONED = 100
_LONGEST_STUDY = 250


@dataclass
class Churn:
    """What is to be done to whoever works.

    Args:
        store: The database.
        specs: What is submitted.
        kills: Worker processes to kill.
        zombies: Worker processes to stop for longer than their lease.
    """

    store: Store
    specs: list[ComparisonSpec]
    kills: int
    zombies: int
    seed: int = 0
    killed: int = 0
    stopped: dict[int, float] = field(default_factory=dict)
    n_stopped: int = 0
    made: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def step(self) -> None:
        """One moment of it."""
        now = time.monotonic()
        for pid, until in list(self.stopped.items()):
            if now > until:
                _signal(pid, signal.SIGCONT)
                del self.stopped[pid]
        pids = [pid for pid in self._working() if pid not in self.stopped] if self._due() else []
        kills, zombies = self.kills - self.killed, self.zombies - self.n_stopped
        if pids and self.chance.random() * (kills + zombies) < kills:
            self.killed += _signal(self.chance.choice(pids), signal.SIGKILL)
        elif pids and zombies and not self.stopped:
            pid = self.chance.choice(pids)
            if _signal(pid, signal.SIGSTOP):
                self.stopped[pid] = now + 2 * LEASE_SECONDS
                self.n_stopped += 1
        # A stopped process may hold the lock of an SQLite file: nobody here waits for that.
        if not self.stopped and self.chance.random() < 0.1:
            self._others_study()

    def _due(self) -> bool:
        """Whether so many trials have ended as belong to the harm that was done so far.

        A crew whose workers are killed before they have finished anything takes its machine for
        broken, as it should.
        """
        harm, all_harm = self.killed + self.n_stopped, self.kills + self.zombies
        total = sum(spec.n_searched for spec in self.specs)
        ended = sum(n for state, n in states(self.store).items() if state in ("done", "failed"))
        return harm < all_harm and ended * (all_harm + 1) > (harm + 1) * total

    def _working(self) -> list[int]:
        query = select(workers.c.pid).where(workers.c.state == "working")
        with self.store.engine.connect() as connection:
            return list(connection.scalars(query))

    def _others_study(self) -> None:
        """Somebody makes a study, or deletes the one before."""
        name = f"someone's {self.made // 2}"
        if self.made % 2:
            patiently(lambda: optuna.delete_study(study_name=name, storage=self.store.rdb))
        else:
            study = patiently(
                lambda: optuna.create_study(
                    study_name=name, storage=self.store.rdb, load_if_exists=True
                )
            )
            study.enqueue_trial({"x": 1.0})
            study.optimize(lambda trial: trial.suggest_float("x", 0, 2), n_trials=2)
        self.made += 1


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


def churn(database: str, n_trials: int, *, kills: int, zombies: int, seconds: float) -> list[str]:
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
        environment = {**os.environ, "POISON": ",".join(map(str, seeds)), "HOW": "9"}
        crew = subprocess.Popen([sys.executable, "-c", _CREW, database], env=environment)
        disturbance = Churn(store, specs, kills, zombies)
        deadline = time.monotonic() + seconds
        try:
            while any(store.status(spec.name) != "complete" for spec in specs):
                if crew.poll() is not None:
                    return [f"the crew ended with {crew.returncode}"]
                if time.monotonic() > deadline:
                    return [f"it did not end within {seconds:g} seconds", *wrong(store, specs)]
                with suppress(DBAPIError):
                    disturbance.step()
                time.sleep(0.1)
        finally:
            for pid in disturbance.stopped:
                _signal(pid, signal.SIGCONT)
            crew.terminate()
            crew.wait(60)
        found = wrong(store, specs)
        counts = ", ".join(f"{n} {state}" for state, n in sorted(states(store).items()))
        print(  # noqa: T201  # for whoever runs it
            f"{counts}; {disturbance.killed} workers killed, {disturbance.n_stopped} stopped, "
            f"{disturbance.made} studies of others made or deleted"
        )
        return found


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
    return found


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
    parser.add_argument("--database", help="an empty database; by default an SQLite file")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--zombies", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=7200.0, help="give up after so long")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = churn(
            given.database or f"sqlite:///{folder}/churn.db",
            given.trials,
            kills=given.kills,
            zombies=given.zombies,
            seconds=given.seconds,
        )
    for line in found:
        print(line)  # noqa: T201  # for whoever runs it
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
