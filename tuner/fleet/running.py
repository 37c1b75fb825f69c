"""Run one comparison to its end on a fleet: one that is up, or one that is up for so long."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tuner.errors import InvalidInput, TunerError
from tuner.fleet import driver
from tuner.fleet.cluster import address_of, answers
from tuner.fleet.order import Order, Wish
from tuner.search.database.opening import normalise
from tuner.search.database.store import open_store
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue.control import check_active
from tuner.search.watch.progress import Progress, progress
from tuner.search.work.keeper import Keeper
from tuner.search.work.launch import drive
from tuner.signals import interruptible

_POLL_SECONDS = 0.5
_PROBE_SECONDS = 15.0
_SILENT_PROBES = 4


def run(
    spec: ComparisonSpec,
    *,
    address: str,
    database: str,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Run what is missing of the comparison on the fleet of a cluster.

    Where no fleet is up, one is brought up, and ended with the run.

    Args:
        spec: The comparison.
        address: The cluster; see ``cluster.address_of``.
        database: The address of the database; made if missing.
        workers: How many workers a new fleet has; by default as many as the cluster has GPUs, or
            CPUs.
        on_progress: Called twice a second.

    Returns:
        The progress at the end.

    Raises:
        InvalidInput: If the cluster does not answer or runs other code, the fleet works on another
            database, or the database holds another comparison of that name.
        Conflict: If the comparison is paused or cancelled.
        DatabaseProblem: If the database cannot be used.
        TunerError: If the cluster's head is gone.
    """
    began = time.monotonic()
    store = open_store(database)
    try:
        with _fleet(address, database, workers), interruptible():
            store.declare(spec)
            now = progress(store, spec)
            if now.complete:
                return Keeper(store).tend_one(spec)
            check_active(store, spec.name)
            alive = _Alive(address_of(address))
            return drive(store, spec, meanwhile=alive.wait, began=began, on_progress=on_progress)
    finally:
        store.close()


@contextmanager
def _fleet(address: str, database: str, workers: int | None) -> Iterator[None]:
    """A fleet on the database for the time of the block."""
    there = driver.ordered(address)
    if there is not None:
        if workers is not None:
            raise InvalidInput(
                f"--workers {workers}: a fleet of {there.wish.workers} is up; change it with: "
                f"tuner fleet scale {workers}"
            )
        if normalise(there.database) != normalise(driver.for_all_nodes(database)):
            raise InvalidInput(
                "the fleet that is up works on another database; name it with --database, as it "
                "was named when the fleet was brought up (tuner fleet status shows it)"
            )
        yield
        return
    shape, size = driver.fitting(address)
    size = workers or size
    driver.up(address, Order(database, Wish(size, size, size), shape))
    try:
        yield
    finally:
        driver.down(address)


class _Alive:
    """Waits, and looks now and then whether the cluster's head is still there."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._silent = 0
        self._looked = time.monotonic()

    def wait(self) -> None:
        """Wait between two looks at the comparison.

        Raises:
            TunerError: If the head has not answered for long.
        """
        time.sleep(_POLL_SECONDS)
        if time.monotonic() - self._looked < _PROBE_SECONDS:
            return
        self._silent = 0 if answers(self._address) else self._silent + 1
        self._looked = time.monotonic()
        if self._silent == _SILENT_PROBES:
            raise TunerError(
                f"the head of the Ray cluster at {self._address} does not answer any more, and "
                "its workers end with it; finished trials are kept: start the cluster again and "
                "run this again"
            )
