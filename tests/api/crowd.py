"""How long people wait for a server while others have large things done and a crowd looks on.

    python -m tests.api.crowd

asks a real ``tuner serve`` for pages, lists, single things, submissions and the dashboard, some a
second as people do, and prints how long the answers took: when nothing else happens, while the
queue of a large comparison is filled, while one is cancelled, and while reports of another are
made. Meanwhile hundreds listen to its events and a thousand connections say nothing. It takes an
SQLite file of its own, or an empty database that ``--database`` names.

A request counts from when it was sent, not from when it should have been; what its sending was
late for, ``lag``, is this program's own wait for a processor, as is a part of every other number
where ``load`` says that other processes were busy.
"""

import argparse
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from sqlalchemy import func, select

from tests.api.onlookers import allow_files
from tests.api.waits import Answer, Phase, table
from tuner.bench.measured_on import load_of_others
from tuner.bench.serving import declaration, finish
from tuner.search.database.events import newest
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import events, studies, trials
from tuner.search.queue.ending import count_cancelled
from tuner.search.queue.filling import enqueue
from tuner.search.watch.progress import study_progress

_JSON = {"Content-Type": "application/json"}
_THREADS = 64
_PATIENCE_SECONDS = 300.0
"""So long a server may take to start and to end, on the slowest machine."""

_TICKS = os.sysconf("SC_CLK_TCK")
SMALL, REPORTED, CANCELLED, FILLED = "small", "reported", "cancelled", "filled"
"""The comparisons: one that people look at, and those that are large."""


@dataclass
class People:
    """Those who ask a server for this and that, so many times a second.

    Args:
        port: Where it is.
        asked: Kind of request -> method, path, body, anew each time.
        rate: Requests a second, of all kinds in turn.
    """

    port: int
    asked: dict[str, Callable[[], tuple[str, str, str | None]]]
    rate: float
    phase: str = ""
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._clock = threading.Thread(target=self._ask_all, name="people")

    def __enter__(self) -> "People":
        self._clock.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._clock.join()

    def _ask_all(self) -> None:
        with ThreadPoolExecutor(_THREADS) as pool:
            due = time.perf_counter()
            for number in count():
                due += 1 / self.rate
                if self._ended.wait(max(0.0, due - time.perf_counter())):
                    return
                kind = list(self.asked)[number % len(self.asked)]
                pool.submit(self._ask, self.phase, kind, due)

    def _ask(self, phase: str, kind: str, due: float) -> None:
        method, path, body = self.asked[kind]()
        began, error = time.perf_counter(), None
        try:
            status, text = request(self.port, method, path, body)
            if status >= 400:
                error = f"{method} {path}: {status} {text[:200]!r}"
        except (OSError, http.client.HTTPException) as failure:
            error = f"{method} {path}: {type(failure).__name__} {failure}"
        ended = time.perf_counter()
        self.answers.append(Answer(phase, kind, began - due, ended - began, error))


def request(
    port: int, method: str, path: str, body: str | None = None, *, seconds: float = 120.0
) -> tuple[int, bytes]:
    """The status and the body of an answer, over a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)) as connection:
        connection.request(method, path, body, _JSON)
        answer = connection.getresponse()
        return answer.status, answer.read()


def asked(store: Store) -> dict[str, Callable[[], tuple[str, str, str | None]]]:
    """What people ask for; see ``People``."""
    with store.engine.connect() as connection:
        its = studies.c.study_name == f"{SMALL}/filter"
        study = connection.scalar(select(studies.c.id).where(its))
        few = select(trials.c.trial_id).where(trials.c.comparison == SMALL)
        trial_ids = list(connection.scalars(few.order_by(trials.c.trial_id)))
    number, turns = count(), count()
    in_optuna = store.study_id(f"{SMALL}/filter")

    def get(path: str) -> tuple[str, str, str | None]:
        return "GET", path, None

    def submission() -> tuple[str, str, str | None]:
        spec = declaration(f"submitted-{next(number)}", 10)
        return "POST", "/v1/comparisons", spec.model_dump_json()

    return {
        "page: all": partial(get, "/"),
        "page: one": partial(get, f"/comparisons/{SMALL}"),
        "page: large": partial(get, f"/comparisons/{REPORTED}"),
        "list": lambda: get(("/v1/comparisons", "/v1/studies", "/v1/workers")[next(turns) % 3]),
        "trials": partial(get, f"/v1/studies/{study}/trials"),
        "status": partial(get, f"/v1/comparisons/{SMALL}"),
        "trial": lambda: get(f"/v1/trials/{trial_ids[next(turns) % len(trial_ids)]}"),
        "submit": submission,
        "dashboard": lambda: get(
            ("/dashboard", "/api/studies", f"/api/studies/{in_optuna}?after=0")[next(turns) % 3]
        ),
    }


class Crowd:
    """A server over a database with large comparisons, people who ask it, and onlookers.

    Args:
        database: The address of an empty database.
        filled: Trials of the comparison whose queue is filled.
        cancelled: Trials of the one that is cancelled.
        reported: Trials of the one of which reports are made.
        onlookers: Clients that listen to events.
        silent: Clients that say nothing.
        rate: Requests of people a second.
        quiet: How long it is watched while nothing else happens, in seconds.
    """

    def __init__(
        self,
        database: str,
        *,
        filled: int,
        cancelled: int,
        reported: int,
        onlookers: int,
        silent: int,
        rate: float,
        quiet: float,
    ) -> None:
        self.database = database
        self.filled = declaration(FILLED, filled // 2)
        self.cancelled = declaration(CANCELLED, cancelled // 2)
        self.reported = declaration(REPORTED, reported // 2)
        self.onlookers = onlookers
        self.silent = silent
        self.rate = rate
        self.quiet = quiet
        self.phases: list[Phase] = []
        self.wrong: list[str] = []

    def run(self, folder: Path) -> list[Answer]:
        """Do everything once; what is wrong in the end is in ``wrong``."""
        allow_files()
        with closing(open_store(self.database)) as store:
            finish(store, declaration(SMALL, 20))
            finish(store, self.reported)
            store.declare(self.cancelled)
            enqueue(store, self.cancelled)
            with self._server(folder) as (port, pid), self._looked_on(store, port):
                with People(port, asked(store), self.rate) as people:
                    for name, happens in self._happenings(store, port):
                        self._phase(name, happens, people, pid)
                self.wrong += [answer.error for answer in people.answers if answer.error]
                return people.answers

    def _happenings(self, store: Store, port: int) -> Iterator[tuple[str, Callable[[], None]]]:
        """What happens, one after the other: its name, and what returns once it is over."""

        def have(method: str, path: str, body: str | None = None) -> None:
            status, text = request(port, method, path, body, seconds=3600.0)
            if status >= 400:
                self.wrong.append(f"{method} {path}: {status} {text[:200]!r}")

        def fill() -> None:
            have("POST", "/v1/comparisons", self.filled.model_dump_json())
            while any(each.waiting < each.n_trials for each in _waiting(store)):
                time.sleep(1.0)

        def cancel() -> None:
            have("POST", f"/v1/comparisons/{CANCELLED}/cancel")
            while count_cancelled(store):
                time.sleep(1.0)

        where = f"/v1/comparisons/{REPORTED}/report"
        yield "warming up", lambda: time.sleep(self.quiet)
        yield "quiet", lambda: time.sleep(self.quiet)
        yield f"filling {self.filled.n_searched:,}", fill
        yield f"cancelling {self.cancelled.n_searched:,}", cancel
        yield f"report of {self.reported.n_searched:,}", lambda: have("GET", where)
        yield f"sheet of {self.reported.n_searched:,}", lambda: have("GET", f"{where}?format=csv")

    def _phase(self, name: str, happens: Callable[[], None], people: People, pid: int) -> None:
        ours, began, others = _processor_seconds(pid), time.monotonic(), load_of_others()
        people.phase = name
        happens()
        load, seconds = others(), time.monotonic() - began
        shares = [(b - a) / seconds for a, b in zip(ours, _processor_seconds(pid), strict=True)]
        self.phases.append(Phase(name, seconds, *shares, load))

    @contextmanager
    def _server(self, folder: Path) -> Iterator[tuple[int, int]]:
        """The port and the process of a server, as long as the block lasts."""
        log = folder / "server.log"
        command = [sys.executable, "-m", "tuner", "serve", "--port", "0"]
        environment = {
            **os.environ,
            "TUNER_DATABASE_URL": self.database,
            "TUNER_REQUESTS_PER_MINUTE": "1000000000",  # all come from one address here
            "PYTHONUNBUFFERED": "1",
        }
        with log.open("w") as file:
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
            try:
                yield _port(process, log), process.pid
                if process.poll() is not None:
                    self.wrong.append(f"the server ended with {process.returncode}")
            finally:
                process.terminate()
                try:
                    process.wait(_PATIENCE_SECONDS)
                finally:
                    process.kill()
        traces = log.read_text().count("Traceback")
        if traces:
            self.wrong.append(f"{traces} tracebacks in the server's log: {_first_trace(log)}")

    @contextmanager
    def _looked_on(self, store: Store, port: int) -> Iterator[None]:
        """Listeners and silent clients, as long as the block lasts; then what they missed."""
        first = newest(store.engine)
        command = [sys.executable, "-m", "tests.api.onlookers", str(port)]
        command += ["--listeners", str(self.onlookers), "--silent", str(self.silent)]
        process = subprocess.Popen(
            [*command, "--after", str(first)], stdout=subprocess.PIPE, text=True
        )
        try:
            yield
            last = newest(store.engine)
            time.sleep(5.0)  # so long a listener may take to hear the last of it
        finally:
            process.send_signal(signal.SIGTERM)
            told, _ = process.communicate(timeout=_PATIENCE_SECONDS)
        with store.engine.connect() as connection:
            these = (events.c.id > first) & (events.c.id <= last)
            happened = connection.scalar(select(func.count()).where(these)) or 0
        heard = json.loads(told)
        missed = sum(n < happened for n in heard["heard"])
        if missed or heard["twice"] or heard["refused"]:
            self.wrong.append(
                f"of {happened} events {missed} listeners missed some, {heard['twice']} came "
                f"twice, {len(heard['refused'])} streams were refused {heard['refused'][:1]}"
            )
        self.looked_on = (
            f"{self.onlookers} listeners heard {happened} events each, over "
            f"{heard['streams']} streams; {self.silent} silent clients connected "
            f"{heard['silent']} times"
        )


def _waiting(store: Store) -> list[object]:
    return list(study_progress(store, FILLED).values())


def _port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    """Where the server is, once it answers."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        said = re.match(r"http://127\.0\.0\.1:(\d+) ", log.read_text())
        if said:
            with socket.create_connection(
                ("127.0.0.1", int(said.group(1))), timeout=_PATIENCE_SECONDS
            ):
                pass
            if request(int(said.group(1)), "GET", "/v1/readiness")[0] == 200:
                return int(said.group(1))
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start: {log.read_text()}")


def _first_trace(log: Path) -> str:
    return log.read_text().partition("Traceback")[2][:2000]


def _processor_seconds(pid: int) -> tuple[float, float]:
    """Of a process, and of those that it or they have started."""
    parents, spent = {}, {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        parents[int(place.parent.name)] = int(fields[1])
        spent[int(place.parent.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    below = {pid}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return spent[pid], sum(spent[each] for each in below - {pid})


def main() -> int:
    """Measure as the arguments say; the exit status is 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--database", help="an empty database; by default an SQLite file")
    parser.add_argument("--filled", type=int, default=100_000)
    parser.add_argument("--cancelled", type=int, default=30_000)
    parser.add_argument("--reported", type=int, default=10_000)
    parser.add_argument("--onlookers", type=int, default=200)
    parser.add_argument("--silent", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=9.0, help="requests a second")
    parser.add_argument("--quiet", type=float, default=30.0, help="seconds")
    given = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        database = given.pop("database") or f"sqlite:///{folder}/crowd.db"
        crowd = Crowd(database, **given)
        answers = crowd.run(Path(folder))
    print(table(crowd.phases, answers), crowd.looked_on, sep="\n")  # noqa: T201  # for whoever runs it
    for line in crowd.wrong:
        print(line)  # noqa: T201
    return bool(crowd.wrong)


if __name__ == "__main__":
    sys.exit(main())
