"""Run one comparison to its end on a fleet: one that is up, or one that is up for so long."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from tuner.errors import InvalidInput, NotFound, TunerError
from tuner.fleet import driver
from tuner.fleet.cluster import address_of
from tuner.fleet.order import Order
from tuner.search.database.opening import normalise
from tuner.search.database.store import open_store
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.fleets.wish import Wish
from tuner.search.queue.control import check_active
from tuner.search.watch.progress import Progress, progress
from tuner.search.work.keeper import Keeper
from tuner.search.work.launch import drive
from tuner.signals import interruptible

_POLL_SECONDS = 0.5
_LOOK_SECONDS = 15.0
_BAD_LOOKS, _SILENT_LOOKS = 2, 4


def run(
    spec: ComparisonSpec,
    *,
    address: str,
    database: str,
    workers: int | None = None,
    runtime_env: Mapping[str, Any] | None = None,  # Any: as Ray documents it
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
        runtime_env: Ray's runtime environment of a new fleet.
        on_progress: Called twice a second.

    Returns:
        The progress at the end.

    Raises:
        InvalidInput: If the cluster does not answer or runs other code, the fleet works on another
            database, or the database holds another comparison of that name.
        Conflict: If the comparison is paused or cancelled.
        DatabaseProblem: If the database cannot be used.
        NotFound: If the fleet is ended meanwhile.
        TunerError: If the cluster's head is gone, or no worker can work.
    """
    began = time.monotonic()
    store = open_store(database)
    try:
        with _fleet(address, database, workers, runtime_env), interruptible():
            store.declare(spec)
            now = progress(store, spec)
            if now.complete:
                return Keeper(store).tend_one(spec)
            check_active(store, spec.name)
            watch = _Watch(address_of(address))
            return drive(store, spec, meanwhile=watch.wait, began=began, on_progress=on_progress)
    finally:
        store.close()


@contextmanager
def _fleet(
    address: str,
    database: str,
    workers: int | None,
    runtime_env: Mapping[str, Any] | None,  # Any: as Ray documents it
) -> Iterator[None]:
    """A fleet on the database for the time of the block."""
    there = driver.ordered(address)
    if there is not None:
        if workers is not None:
            raise InvalidInput(
                f"--workers {workers}: a fleet of {there.wish.workers} is up; change it with: "
                f"tuner fleet scale {workers}"
            )
        if runtime_env is not None:
            raise InvalidInput(
                "--runtime-env-json: a fleet is up, with the environment that it was brought up "
                "with; leave it out, or end the fleet with: tuner fleet down"
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
    driver.up(address, Order(database, Wish(size, size, size), shape), runtime_env=runtime_env)
    try:
        yield
    finally:
        with suppress(NotFound):
            driver.down(address)


class _Watch:
    """Waits, and looks now and then whether the fleet is there and can work.

    It comes and goes: a process that stays in a cluster is ended with the cluster's head.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._bad = 0
        self._looked = time.monotonic()

    def wait(self) -> None:
        """Wait between two looks at the comparison.

        Raises:
            NotFound: If the fleet was ended.
            TunerError: If for long the cluster's head has not answered, or no worker could work.
        """
        time.sleep(_POLL_SECONDS)
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        try:
            workers = driver.status(self._address).fleet.workers
            unable = [worker for worker in workers if worker.state in ("broken", "refused")]
            trouble = unable[0].message if unable and len(unable) == len(workers) else ""
            most = _BAD_LOOKS
        except NotFound:
            raise
        except TunerError as error:
            trouble, most = str(error), _SILENT_LOOKS
        self._bad = self._bad + 1 if trouble else 0
        self._looked = time.monotonic()
        if self._bad >= most:
            raise TunerError(
                f"the fleet cannot go on: {trouble}; finished trials are kept: run this again "
                "once that is mended"
            )
