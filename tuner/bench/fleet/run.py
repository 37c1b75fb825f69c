"""Fleets of growing size, one after the other, on one database."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from sqlalchemy import func, select

from tuner.bench.fleet.asks import Ask, asks
from tuner.bench.fleet.lengths import Lengths
from tuner.bench.fleet.reading import reading
from tuner.bench.fleet.server import cpu_seconds, watched
from tuner.bench.fleet.sleeping import Sleeping, Times, simulate
from tuner.bench.measured_on import load_of_others
from tuner.bench.serving import Server, declaration, p95
from tuner.errors import InvalidInput, TunerError
from tuner.machine import cores, processor
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import DONE, WAITING, trials
from tuner.search.database.tables import workers as workers_table
from tuner.search.queue.control import change_comparison
from tuner.search.queue.filling import enqueue
from tuner.search.queue.queue import Queue
from tuner.search.work.surroundings import ONE_THREAD, fork

_IMPORTED = ["tuner.bench.fleet.sleeping", "psycopg", "numpy.random"]
_WARM_SECONDS = 30.0
_MOST_A_SECOND = 500
"""Queues are as long as fleets need that finish so many trials a second; none did on a machine."""

_MARGIN = 1.2
"""Chance lets a fleet of a few workers finish more trials than it does in the mean."""


@dataclass(frozen=True)
class Row:
    """What a fleet of one size did, per second of the measured time.

    Args:
        workers: How many.
        wanted: Trials a second if nothing but training took time.
        finished: Trials a second that were recorded.
        claimed: Claims a second.
        outside: Share of the workers' time that was not training, in [0, 1].
        connections: The most connections to the database at once.
        database_cores: Processors that the server kept busy; None if it is elsewhere.
        worker_cores: Processors that the workers kept busy.
        load: Share of the processors that others took; None if unsaid.
        reads: Answers that clients of the server had meanwhile.
        reads_p95_ms: How long the slowest twentieth of them took at least; None without any.
    """

    workers: int
    wanted: float
    finished: float
    claimed: float
    outside: float
    connections: int
    database_cores: float | None
    worker_cores: float
    load: float | None
    reads: int = 0
    reads_p95_ms: float | None = None


@dataclass
class FleetResults:
    """What was measured so far.

    Args:
        training: How long training took, as the command line writes it.
        batch: How many trials each worker trained together.
        seconds: How long each fleet was measured.
        processor: The machine's.
        cores: How many of them the fleet and, if it is here, the server share.
        rows: A row a size.
        asks: How long a sampler thinks, by trials finished before.
        stopped: Whether Ctrl-C ended the run.
    """

    training: str
    batch: int
    seconds: float
    processor: str
    cores: int
    rows: list[Row] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    stopped: bool = False

    def to_json(self) -> dict[str, object]:
        """The results as a JSON object."""
        return {"schema_version": 1, **asdict(self)}


@dataclass(frozen=True)
class _Bench:
    """What is the same for all fleets.

    Args:
        database: The address.
        store: What is there.
        trainer: What each worker sleeps by.
        seconds: How long each fleet is measured.
        server: What is read from meanwhile; None if nobody reads.
    """

    database: str
    store: Store
    trainer: Sleeping
    seconds: float
    server: Server | None


def run_fleets(
    database: str,
    sizes: Sequence[int],
    lengths: Lengths,
    *,
    batch: int,
    reads: bool,
    seconds: float,
    finished: Sequence[int],
    on_row: Callable[[Row], None],
) -> FleetResults:
    """Measure fleets of these sizes, then how long a sampler thinks.

    Args:
        database: The address of a PostgreSQL database without comparisons.
        sizes: Workers of each fleet.
        lengths: How long training takes.
        batch: How many trials a worker trains together.
        reads: Whether a server is asked meanwhile.
        seconds: How long each fleet is measured, once all of it works.
        finished: After how many finished trials a sampler is asked.
        on_row: Called with each row.

    Raises:
        InvalidInput: If the database is SQLite, or holds comparisons.
        TunerError: If a worker or the server could not start, says why; or if a queue was empty
            too soon.
    """
    results = FleetResults(str(lengths), batch, seconds, processor(), cores())
    try:
        with closing(open_store(database)) as store, ExitStack() as stack:
            if store.gives_numbers_again:
                raise InvalidInput(
                    "tuner bench fleet: needs PostgreSQL; workers of many machines do"
                )
            if store.names():
                raise InvalidInput("tuner bench fleet: its database must hold no comparison")
            server = stack.enter_context(closing(Server(database))) if reads else None
            bench = _Bench(database, store, Sleeping(lengths, batch), seconds, server)
            for number, workers in enumerate(sizes):
                row = _measure(bench, f"fleet-{number}", workers)
                results.rows.append(row)
                on_row(row)
            results.asks += asks(finished)
    except KeyboardInterrupt:
        results.stopped = True
    return results


def _measure(bench: _Bench, name: str, workers: int) -> Row:
    """One fleet, from its queue to its end."""
    store, mean = bench.store, bench.trainer.lengths.mean
    wanted = workers * bench.trainer.batch / mean
    patience = _WARM_SECONDS + mean + bench.trainer.lengths.longest
    held = 2 * workers * bench.trainer.batch
    _fill(bench, name, wanted, patience + bench.seconds, held=held)
    with (
        _fleet(bench, workers, name) as pipes,
        watched(store) as seen,
        reading(bench.server, name) as answers,
    ):
        others, began = load_of_others(), time.monotonic()
        for pipe in pipes:  # one after the other, or all would come for trials at once
            pipe.send(None)
            time.sleep(mean / workers)
        while _n_warm(store, name) < workers and time.monotonic() < began + patience:
            time.sleep(0.5)
        first, done, spent = time.monotonic(), _n(store, name, DONE), cpu_seconds(store)
        time.sleep(bench.seconds)
        last, done, ended = time.monotonic(), _n(store, name, DONE) - done, cpu_seconds(store)
        left = _n(store, name, WAITING)
        for pipe in pipes:
            pipe.send(None)
        times: list[Times] = [_answer(pipe) for pipe in pipes]
        load = others()
    if not left:
        raise TunerError(
            f"{workers} workers: their queue was empty before they were measured; give them "
            "longer training, or fewer trials together"
        )
    change_comparison(store, name, "cancel")
    trained = [
        max(0.0, min(end, last) - max(start, first))
        for each in times
        for start, end in each.trained
    ]
    claims = sum(first <= start < last for each in times for start, _ in each.trained)
    read = [answer.seconds for answer in answers if first <= answer.asked < last]
    return Row(
        workers=workers,
        wanted=wanted,
        finished=done / (last - first),
        claimed=claims / (last - first),
        outside=1 - sum(trained) / (workers * (last - first)),
        connections=seen.connections,
        database_cores=None
        if spent is None or ended is None
        else (ended - spent) / (last - first),
        worker_cores=sum(each.cpu_seconds for each in times) / (last - began),
        load=load,
        reads=len(read),
        reads_p95_ms=1000 * p95(read) if read else None,
    )


def _fill(bench: _Bench, name: str, wanted: float, seconds: float, *, held: int) -> None:
    """Declare a comparison whose queue lasts so long, in batches all alike, and some are held."""
    batch = bench.trainer.batch
    n_trials = min(_MARGIN * wanted, _MOST_A_SECOND) * seconds + held
    spec = declaration(name, batch * math.ceil(n_trials / 2 / batch))
    bench.store.declare(spec)
    enqueue(bench.store, spec)
    for study in spec.studies():
        Queue(bench.store).batch(study.study_name, batch)


@contextmanager
def _fleet(bench: _Bench, workers: int, name: str) -> Iterator[list[Connection]]:
    """So many worker processes, ready; ended with the block.

    Raises:
        TunerError: If one could not start; says why.
    """
    started: list[tuple[BaseProcess, Connection]] = []
    try:
        for number in range(workers):
            started.append(
                fork(
                    simulate,
                    bench.database,
                    bench.trainer,
                    f"{name}-{number}",
                    number,
                    variables=ONE_THREAD,
                    imported=_IMPORTED,
                )
            )
        for number, (_, pipe) in enumerate(started):
            if (refusal := _answer(pipe)) is not None:
                raise TunerError(f"worker {number + 1} of {workers} did not start: {refusal}")
        yield [pipe for _, pipe in started]
    finally:
        for process, pipe in started:
            process.kill()
            process.join()
            pipe.close()


def _answer(pipe: Connection) -> Any:  # Any: what ``sleeping.simulate`` sends
    """What a worker says.

    Raises:
        TunerError: If it ended instead.
    """
    try:
        return pipe.recv()
    except EOFError as error:
        raise TunerError("a simulated worker ended in the middle; its log says why") from error


def _n_warm(store: Store, fleet: str) -> int:
    """How many of its workers have finished a trial: what a process does once is behind them."""
    query = select(func.count()).where(
        workers_table.c.name.startswith(f"{fleet}-", autoescape=True), workers_table.c.finished > 0
    )
    with store.reader.connect() as connection:
        return connection.scalar(query) or 0


def _n(store: Store, comparison: str, state: str) -> int:
    """How many of its trials are in a state."""
    query = select(func.count()).where(trials.c.comparison == comparison, trials.c.state == state)
    with store.reader.connect() as connection:
        return connection.scalar(query) or 0
