"""A fleet from outside: brought up, asked, made larger or smaller, ended."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tuner import __version__
from tuner.config import without_password
from tuner.errors import Conflict, InvalidInput, NotFound, TunerError
from tuner.fleet.cluster import (
    Node,
    answer,
    entered,
    gone,
    heard,
    last_line,
    named,
    nodes,
    on_head,
)
from tuner.fleet.code import code_here, differing
from tuner.fleet.environment import check_environment, modules_of, not_importable
from tuner.fleet.manager import CALLS_AT_ONCE, MANAGER, Manager
from tuner.fleet.order import Order, Shape, check_room
from tuner.fleet.seats import FleetStatus
from tuner.search.database.opening import normalise
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import ACTIVE, comparisons
from tuner.search.fleets.wish import Wish
from tuner.wording import count

START_SECONDS = 180.0
"""So long workers are waited for that start; the fleet goes on starting them."""

_LOOK_SECONDS = 0.3
_ENDING_SECONDS = 5.0

OnStatus = Callable[[FleetStatus], object]


@dataclass(frozen=True)
class Cluster:
    """A fleet and the nodes that it is on."""

    fleet: FleetStatus
    nodes: tuple[Node, ...]


def up(
    address: str | None,
    order: Order,
    *,
    runtime_env: Mapping[str, Any] | None = None,  # Any: as Ray documents it
    on_status: OnStatus = lambda _status: None,
) -> FleetStatus:
    """Bring a fleet up; returns once its workers are up, or some are and others wait for room.

    Args:
        address: Where the cluster is; see ``cluster.address_of``.
        order: What it is to be; the code that it has to run is that which runs here.
        runtime_env: Ray's runtime environment for its actors.
        on_status: Called now and then while it starts.

    Raises:
        InvalidInput: If the cluster does not answer, has no room for the workers, or runs other
            code; or if its nodes cannot reach the database.
        Conflict: If a fleet is up there already.
        DatabaseProblem: If the database cannot be used from here.
        TunerError: If no worker can start.
    """
    order = replace(order, database=for_all_nodes(order.database), code=code_here())
    if runtime_env is not None:
        check_environment(runtime_env)
    with entered(address, runtime_env) as ray:
        there = nodes(ray)
        if (manager := named(ray, MANAGER)) is not None:
            _refuse_second(answer(ray, manager.status.remote()))
        _check_database(order.database, there)
        check_room(order.shape, max(order.wish.least, _at_first(order.wish)), _sizes(there))
        _check_modules(ray, modules_of(runtime_env or {}))
        manager = _managed(ray, order)
        try:
            return _started(ray, manager, on_status)
        except BaseException:
            _take_down(ray, manager)
            raise


def status(address: str | None) -> Cluster:
    """How the fleet of a cluster is.

    Raises:
        InvalidInput: If the cluster does not answer.
        NotFound: If no fleet is up there.
    """
    with _of_fleet(address) as (ray, manager):
        return Cluster(answer(ray, manager.status.remote()), tuple(nodes(ray)))


def ordered(address: str | None) -> Order | None:
    """The fleet of a cluster as it was ordered; None if there is none.

    Raises:
        InvalidInput: If the cluster does not answer, or the fleet runs other code than is here.
    """
    with entered(address) as ray:
        manager = named(ray, MANAGER)
        if manager is None:
            return None
        order: Order = answer(ray, manager.order.remote())
    if differs := differing(code_here(), order.code):
        raise InvalidInput(
            f"the fleet that is up runs other code than this, and their trials do not compare: "
            f"{differs}; use the same here, or bring up another fleet after: tuner fleet down"
        )
    return order


def fitting(address: str | None) -> tuple[Shape, int]:
    """The workers that a cluster holds if nothing else is said: one for each GPU, or each CPU.

    Raises:
        InvalidInput: If it does not answer, or has neither.
    """
    with entered(address) as ray:
        there = _sizes(nodes(ray))
    shape = Shape(gpus=1.0 if any(node.get("GPU", 0) >= 1 for node in there) else 0.0)
    size = sum(shape.room(node) for node in there)
    check_room(shape, max(1, size), there)
    return shape, size


def scale(address: str | None, workers: int) -> FleetStatus:
    """Have the fleet have so many workers, however long the queue is.

    Raises:
        InvalidInput: If the number is out of range, or the cluster has no room for them.
        NotFound: If no fleet is up there.
        Conflict: If it is ending.
    """
    with _of_fleet(address) as (ray, manager):
        order: Order = answer(ray, manager.order.remote())
        if answer(ray, manager.status.remote()).draining:
            raise Conflict("the fleet is ending; bring up another with: tuner fleet up")
        wish = Wish(workers, workers, workers)
        check_room(order.shape, workers, _sizes(nodes(ray)))
        answer(ray, manager.scale.remote(wish))
        now: FleetStatus = answer(ray, manager.status.remote())
    return now


def down(address: str | None, *, on_status: OnStatus = lambda _status: None) -> bool:
    """End the fleet: its workers finish their epochs and put their trials back. Waits for that.

    Called again meanwhile, from anywhere, it ends them at once; their trials go back too.

    Returns:
        Whether it was ended at once.

    Raises:
        NotFound: If no fleet is up there.
    """
    with _of_fleet(address) as (ray, manager):
        at_once: bool = answer(ray, manager.down.remote())
        while not gone(ray, MANAGER, within_seconds=_LOOK_SECONDS):
            try:
                on_status(ray.get(manager.status.remote(), timeout=_LOOK_SECONDS))
            except ray.exceptions.GetTimeoutError:
                continue
            except ray.exceptions.RayActorError:  # just now
                break
    return at_once


@contextmanager
def _of_fleet(address: str | None) -> Iterator[tuple[Any, Any]]:  # Any: Ray, an actor of it
    with entered(address) as ray:
        manager = named(ray, MANAGER)
        if manager is None:
            raise NotFound("no fleet is up in this cluster; bring one up with: tuner fleet up")
        try:
            yield ray, manager
        except ray.exceptions.RayActorError as error:
            raise TunerError(
                "the fleet's manager is not there any more, or just starts again; look again "
                "with: tuner fleet status"
            ) from error


def _check_modules(ray: Any, modules: list[str]) -> None:  # Any: Ray
    """Refuse code of the user's that cannot be imported where it is to be trained."""
    if not modules:
        return
    ask = ray.remote(not_importable).options(num_cpus=0, max_retries=0, resources=on_head())
    try:
        why: str = ray.get(ask.remote(modules), timeout=START_SECONDS)
    except ray.exceptions.GetTimeoutError as error:
        raise TunerError(
            f"the head of the cluster did not import {', '.join(modules)} within "
            f"{START_SECONDS:g} seconds; see ray status"
        ) from error
    except ray.exceptions.RayError as error:
        raise InvalidInput(
            f"the runtime environment could not be used on the cluster's head: {last_line(error)}"
        ) from error
    if why:
        raise InvalidInput(
            f"TUNER_WORKLOADS of the runtime environment names what the cluster's head cannot "
            f"import: {why}; name its folder in py_modules, and its packages in pip"
        )


def _managed(ray: Any, order: Order) -> Any:  # Any: Ray, an actor of it
    """The manager of a new fleet."""
    actor = ray.remote(Manager).options(
        name=MANAGER,
        lifetime="detached",
        max_restarts=-1,
        max_concurrency=CALLS_AT_ONCE,
        num_cpus=0,
        resources=on_head(),
    )
    try:
        return heard(lambda: actor.remote(order))
    except ValueError as error:  # somebody was faster
        raise Conflict(f"a fleet is already up in this cluster ({error})") from error


def _started(ray: Any, manager: Any, on_status: OnStatus) -> FleetStatus:  # Any: Ray, its actor
    """The fleet once its workers are up."""
    try:
        refusal: str = ray.get(manager.refusal.remote(), timeout=START_SECONDS)
    except ray.exceptions.GetTimeoutError as error:
        raise TunerError(
            f"the fleet's manager did not start within {START_SECONDS:g} seconds; see ray status"
        ) from error
    except ray.exceptions.RayError as error:
        raise InvalidInput(
            "the fleet's manager could not start on the cluster's head: "
            f"{last_line(error)}; its nodes need this software, the same as here, in their image "
            "or by --runtime-env-json"
        ) from error
    if refusal:
        raise InvalidInput(
            f"the cluster runs other code than this, and their trials do not compare: {refusal}; "
            "install the same on its nodes, or use what they have here"
        )
    deadline = time.monotonic() + START_SECONDS
    while True:
        now: FleetStatus = answer(ray, manager.status.remote())
        on_status(now)
        states = [worker.state for worker in now.workers]
        stuck = [worker for worker in now.workers if worker.state in ("refused", "broken")]
        if (now.trouble and not now.up) or (stuck and len(stuck) == len(states) == now.target):
            why = now.trouble or stuck[0].message
            raise TunerError(f"no worker of the fleet can start: {why}")
        if now.up + len(stuck) >= now.target or time.monotonic() > deadline:
            return now
        time.sleep(_LOOK_SECONDS)


def _take_down(ray: Any, manager: Any) -> None:  # Any: Ray, an actor of it
    """End a fleet that could not start."""
    try:
        for _ in range(2):
            answer(ray, manager.down.remote())
        gone(ray, MANAGER, within_seconds=_ENDING_SECONDS)
    except (TunerError, ray.exceptions.RayError):
        pass
    with suppress(TunerError):
        if (left := named(ray, MANAGER)) is not None:
            ray.kill(left, no_restart=True)


def _refuse_second(now: FleetStatus) -> None:
    what = "is ending" if now.draining else f"has {count(now.target, 'worker')}"
    raise Conflict(
        f"a fleet is already up in this cluster, on {now.database}, and {what}; see it with: "
        "tuner fleet status, change it with: tuner fleet scale N, or end it with: tuner fleet down"
    )


def _at_first(wish: Wish) -> int:
    """How many workers have to have room: where the queue decides, no more than the fewest."""
    return wish.least if wish.follows else wish.workers


def _sizes(there: list[Node]) -> list[Mapping[str, float]]:
    return [node.resources for node in there]


def for_all_nodes(database: str) -> str:
    """The address, as processes in other folders need it."""
    address = normalise(database)
    if address.get_backend_name() != "sqlite":
        return database
    path = Path(str(address.database)).absolute()
    return address.set(database=str(path)).render_as_string(hide_password=False)


def _check_database(database: str, there: list[Node]) -> None:
    """Refuse what the nodes cannot share, and trials that they may not run.

    Raises:
        InvalidInput: If it is a file of one machine, or all its active comparisons are for another
            version of this software.
    """
    hosts = {node.host for node in there}
    if normalise(database).get_backend_name() == "sqlite" and len(hosts) > 1:
        raise InvalidInput(
            f"database {without_password(database)}: {len(hosts)} machines cannot share an SQLite "
            "file; a fleet needs PostgreSQL: --database postgresql://USER@HOST/NAME"
        )
    store = open_store(database)
    try:
        versions = _versions_active(store)
    finally:
        store.close()
    if versions and __version__ not in versions:
        raise InvalidInput(
            f"database {without_password(database)}: its active comparisons are for bnn-tuner "
            f"{', '.join(sorted(versions))}, this is {__version__}, and trials of two versions do "
            "not compare; bring up a fleet of that version, or end them with: tuner cancel NAME"
        )


def _versions_active(store: Store) -> set[str]:
    query = select(comparisons.c.code_version).where(comparisons.c.status == ACTIVE).distinct()
    with store.engine.connect() as connection:
        return set(connection.scalars(query))
