"""Jobs that load a server and a queue as a laboratory would: readers, submitters, workers.

The database holds thousands of finished trials. Clients are threads of one process, the server
is a process of its own, as ``tuner serve`` starts it; fleets are measured with it too.
"""

import ctypes
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from optuna.trial import TrialState

from tuner.bench.child import Job, Slice
from tuner.errors import TunerError
from tuner.search.database.store import Store, open_store
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.filling import enqueue
from tuner.search.queue.queue import Queue

_EPOCHS = 20
_UNLIMITED = {"TUNER_REQUESTS_PER_MINUTE": "1000000000"}
_START_SECONDS = 60.0


def _end_with_the_parent() -> None:
    """Have Linux end this process when its parent ends, however that comes."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def declaration(name: str, n_trials: int) -> ComparisonSpec:
    """A comparison of two arms of so many trials."""
    return ComparisonSpec.model_validate(
        {
            "name": name,
            "workload": {"dataset": "digits", "epochs": _EPOCHS},
            "arms": [{"name": space, "space": space} for space in ("magnitude", "filter")],
            "n_trials": n_trials,
            "retrain_seeds": 0,
            "verdict": {"primary": ["filter", "magnitude"], "target": 0.9},
        }
    )


def fill(store: Store, n_trials: int) -> None:
    """Comparisons with so many finished trials in all, each with a curve as real ones have."""
    per_arm = min(1000, n_trials // 2)
    for number in range(n_trials // (2 * per_arm)):
        finish(store, declaration(f"filled-{number}", per_arm))


def finish(store: Store, spec: ComparisonSpec) -> None:
    """Declare the comparison, fill its queues, and finish every trial with a curve made up."""
    queue = Queue(store)
    store.declare(spec)
    enqueue(store, spec)
    for study in spec.studies():
        for first in range(0, study.n_trials, 50):
            claim = queue.claim(study.study_name, "filler", range(first, first + 50))
            queue.finish("filler", {i: _outcome(i) for i in claim.trial_ids})


def _outcome(trial_id: int) -> TrialOutcome:
    chance = random.Random(trial_id)
    value = chance.random()
    curve = {
        "epoch": list(range(1, _EPOCHS + 1)),
        "train_loss": [chance.random() for _ in range(_EPOCHS)],
        "val_accuracy": [value] * _EPOCHS,
        "flip_ratio": [chance.random() for _ in range(_EPOCHS)],
        "seconds": [0.1] * _EPOCHS,
    }
    settings = {"alpha": chance.random(), "gamma": chance.random(), "alpha_decay": "cosine"}
    run = {"seconds": 2.0, "settings": settings, "curve": curve, "device": "cpu"}
    return TrialOutcome(TrialState.COMPLETE, value, {"run": run})


class Server:
    """The product's server, in a process of its own; it ends with the thread that made this.

    Args:
        database: The address of a database that a store was opened on.

    Raises:
        TunerError: If it did not start.
    """

    def __init__(self, database: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        command = [sys.executable, "-m", "tuner", "serve", "--port", str(self._port)]
        self._process = subprocess.Popen(
            [*command, "--database", database],
            env={**os.environ, **_UNLIMITED},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_end_with_the_parent,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise TunerError("the server did not start; try it with: tuner serve")
            time.sleep(0.1)

    def connected(self) -> http.client.HTTPConnection:
        """A connection of a client's."""
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)

    def get(self, path: str) -> Any:  # Any: decoded JSON
        """What it answers."""
        with closing(self.connected()) as connection:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())

    def close(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def _ready(self) -> bool:
        try:
            return bool(self.get("/v1/readiness").get("status") == "ready")
        except OSError:
            return False


class Shown:
    """What a person or a script looks at.

    Args:
        server: Whose.
        comparisons: Names of comparisons among the first there, whose queues are filled.
    """

    def __init__(self, server: Server, comparisons: Sequence[str]) -> None:
        self._names = comparisons
        studies = server.get("/v1/studies?limit=200")["items"]
        self._studies = [study["id"] for study in studies if study["comparison"] in comparisons]
        trials = server.get(f"/v1/studies/{self._studies[0]}/trials?limit=200")["items"]
        self._trials = [trial["trial_id"] for trial in trials]

    def path(self, chance: random.Random) -> str:
        """One of the pages and lists."""
        study, trial = chance.choice(self._studies), chance.choice(self._trials)
        return chance.choice(
            (
                "/v1/comparisons",
                f"/v1/comparisons/{chance.choice(self._names)}",
                "/v1/studies",
                f"/v1/studies/{study}",
                f"/v1/studies/{study}/trials",
                f"/v1/studies/{study}/best",
                f"/v1/trials/{trial}",
                "/v1/workers",
            )
        )


def answered(
    connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None
) -> float:
    """Seconds until a request was answered.

    Raises:
        TunerError: If it was refused.
    """
    began = time.perf_counter()
    connection.request(method, path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    seconds = time.perf_counter() - began
    if answer.status >= 400:
        raise TunerError(f"{method} {path} was answered {answer.status}: {text[:200]!r}")
    return seconds


def p95(seconds: Sequence[float]) -> float:
    """How long the slowest twentieth of the answers took at least; of one answer or more."""
    return sorted(seconds)[int(0.95 * len(seconds))]


class Served(Job):
    """A server over a database of finished trials, and clients that ask it all at once.

    Args:
        database: The address of a new database.
        n_trials: How many finished trials it is to hold.
        clients: How many ask at the same time.
        seconds: How long a slice lasts.
    """

    def __init__(self, database: str, *, n_trials: int, clients: int, seconds: float) -> None:
        self.database = database
        self.n_trials = n_trials
        self.clients = clients
        self.seconds = seconds

    def start(self) -> None:
        """Fill the database, unless another slice's job did, and start the server."""
        store = open_store(self.database)
        if not store.names():
            fill(store, self.n_trials)
        names = store.names()
        store.close()
        self._server = Server(self.database)
        self._shown = Shown(self._server, names)

    def run(self, number: int) -> Slice:
        """All clients ask as fast as they are answered; see ``Job``."""
        began = time.perf_counter()
        with ThreadPoolExecutor(self.clients) as pool:
            seeds = [number * self.clients + client for client in range(self.clients)]
            taken = [seconds for answers in pool.map(self._client, seeds) for seconds in answers]
        seconds = time.perf_counter() - began
        return Slice(len(taken), seconds, p95_seconds=p95(taken))

    def ask(self, chance: random.Random) -> tuple[str, str, str | None]:
        """The next request of a client: method, path, body."""
        raise NotImplementedError

    def _client(self, seed: int) -> list[float]:
        """Seconds that each answer took."""
        chance, taken = random.Random(seed), []
        deadline = time.perf_counter() + self.seconds
        with closing(self._server.connected()) as connection:
            while time.perf_counter() < deadline:
                taken.append(answered(connection, *self.ask(chance)))
        return taken


class Reads(Served):
    """Clients that read what a person or a script looks at."""

    def ask(self, chance: random.Random) -> tuple[str, str, str | None]:
        """One of the pages and lists; see ``Served``."""
        return "GET", self._shown.path(chance), None


class Submits(Served):
    """Clients that submit comparisons."""

    def ask(self, chance: random.Random) -> tuple[str, str, str | None]:
        """A new comparison; see ``Served``."""
        spec = declaration(f"submitted-{chance.getrandbits(64):x}", 20)
        return "POST", "/v1/comparisons", spec.model_dump_json()


class Claims(Job):
    """Simulated workers: each takes a trial and finishes it at once, again and again.

    Args:
        database: The address of a new database.
        workers: Threads of this process.
        n_trials: Trials of this process and slice.
    """

    def __init__(self, database: str, *, workers: int, n_trials: int) -> None:
        self.database = database
        self.workers = workers
        self.n_trials = n_trials

    def open(self, number: int) -> None:
        """Fill a queue."""
        self._store = open_store(self.database)
        self._spec = declaration(f"claims-{os.getpid()}-{number}", self.n_trials // 2)
        self._store.declare(self._spec)
        enqueue(self._store, self._spec)
        for study in self._spec.studies():
            Queue(self._store).batch(study.study_name, 1)

    def run(self, number: int) -> Slice:
        """Claim and finish every trial; see ``Job``."""
        began = time.perf_counter()
        with ThreadPoolExecutor(self.workers) as pool:
            done = sum(pool.map(self._worker, range(self.workers)))
        seconds = time.perf_counter() - began
        if done != self.n_trials:
            raise TunerError(f"slice {number}: {done} of {self.n_trials} trials were finished")
        self._store.close()
        return Slice(done, seconds)

    def _worker(self, number: int) -> int:
        queue, name, done = Queue(self._store), f"simulated-{os.getpid()}-{number}", 0
        chance = random.Random(name)
        while places := queue.upcoming(self._spec.name):
            others = places[1:]
            chance.shuffle(others)  # as a worker does
            for place in (places[0], *others):
                span = range(place.position, place.position + 1)
                claim = queue.claim(place.study_name, name, span)
                if claim.trial_ids:
                    break
            for trial_id in claim.trial_ids:
                done += len(queue.finish(name, {trial_id: _outcome(trial_id)}))
        return done
