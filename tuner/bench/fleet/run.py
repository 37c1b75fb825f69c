"""Fleets of growing size, one after the other, on one database."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from sqlalchemy import func, select

from tuner.bench.fleet.asks import Ask, asks
from tuner.bench.fleet.lengths import Lengths
from tuner.bench.fleet.server import cpu_seconds, watched
from tuner.bench.fleet.sleeping import Times, simulate
from tuner.bench.measured_on import load_of_others
from tuner.bench.serving import declaration
from tuner.errors import InvalidInput, TunerError
from tuner.machine import cores, processor
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import DONE, trials
from tuner.search.database.tables import workers as workers_table
from tuner.search.queue.control import change_comparison
from tuner.search.queue.filling import enqueue
from tuner.search.work.surroundings import ONE_THREAD, fork

_IMPORTED = ["tuner.bench.fleet.sleeping", "psycopg", "numpy.random"]
_WARM_SECONDS = 30.0
_MOST_A_SECOND = 200
"""More trials than this a second no machine finished: so long queues are."""


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


@dataclass
class FleetResults:
    """What was measured so far.

    Args:
        training: How long training took, as the command line writes it.
        seconds: How long each fleet was measured.
        processor: The machine's.
        cores: How many of them the fleet and, if it is here, the server share.
        rows: A row a size.
        asks: How long a sampler thinks, by trials finished before.
        stopped: Whether Ctrl-C ended the run.
    """

    training: str
    seconds: float
    processor: str
    cores: int
    rows: list[Row] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    stopped: bool = False

    def to_json(self) -> dict[str, object]:
        """The results as a JSON object."""
        return {"schema_version": 1, **asdict(self)}


def run_fleets(
    database: str,
    sizes: Sequence[int],
    lengths: Lengths,
    *,
    seconds: float,
    finished: Sequence[int],
    on_row: Callable[[Row], None],
) -> FleetResults:
    """Measure fleets of these sizes, then how long a sampler thinks.

    Args:
        database: The address of a PostgreSQL database without comparisons.
        sizes: Workers of each fleet.
        lengths: How long training takes.
        seconds: How long each fleet is measured, once all of it works.
        finished: After how many finished trials a sampler is asked.
        on_row: Called with each row.

    Raises:
        InvalidInput: If the database is SQLite, or holds comparisons.
        TunerError: If a worker could not start; says why.
    """
    results = FleetResults(str(lengths), seconds, processor(), cores())
    store = open_store(database)
    try:
        if store.gives_numbers_again:
            raise InvalidInput("tuner bench fleet: needs PostgreSQL; workers of many machines do")
        if store.names():
            raise InvalidInput("tuner bench fleet: its database must hold no comparison")
        for number, workers in enumerate(sizes):
            row = _measure(store, database, f"fleet-{number}", workers, lengths, seconds)
            results.rows.append(row)
            on_row(row)
        results.asks += asks(finished)
    except KeyboardInterrupt:
        results.stopped = True
    finally:
        store.close()
    return results


def _measure(
    store: Store, database: str, name: str, workers: int, lengths: Lengths, seconds: float
) -> Row:
    """One fleet, from its queue to its end."""
    wanted = workers / lengths.mean
    patience = _WARM_SECONDS + 8 * lengths.mean
    n_trials = math.ceil(min(1.5 * wanted, _MOST_A_SECOND) * (patience + seconds)) + 2 * workers
    spec = declaration(name, math.ceil(n_trials / 2))
    store.declare(spec)
    enqueue(store, spec)
    with _fleet(database, workers, lengths, name) as pipes, watched(store) as seen:
        others, began = load_of_others(), time.monotonic()
        for pipe in pipes:  # one after the other, or all would come for trials at once
            pipe.send(None)
            time.sleep(lengths.mean / workers)
        while _n_warm(store, name) < workers and time.monotonic() < began + patience:
            time.sleep(0.5)
        first, done, spent = time.monotonic(), _n_done(store, name), cpu_seconds(store)
        time.sleep(seconds)
        last, done, ended = time.monotonic(), _n_done(store, name) - done, cpu_seconds(store)
        for pipe in pipes:
            pipe.send(None)
        times: list[Times] = [_answer(pipe) for pipe in pipes]
        load = others()
    change_comparison(store, name, "cancel")
    trained = [
        max(0.0, min(end, last) - max(start, first))
        for each in times
        for start, end in each.trained
    ]
    claims = sum(first <= start < last for each in times for start, _ in each.trained)
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
    )


@contextmanager
def _fleet(database: str, workers: int, lengths: Lengths, name: str) -> Iterator[list[Connection]]:
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
                    database,
                    lengths,
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


def _n_done(store: Store, comparison: str) -> int:
    query = select(func.count()).where(trials.c.comparison == comparison, trials.c.state == DONE)
    with store.reader.connect() as connection:
        return connection.scalar(query) or 0
