"""Whether the server lives, whether it can work, and what it measures."""

import logging
import threading
from collections.abc import Iterator

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel
from sqlalchemy import String, column, select, table
from starlette.exceptions import HTTPException

from tuner import __version__
from tuner.api.auth import DOCUMENTED, Reader
from tuner.api.metrics import Tally
from tuner.api.problems import errors
from tuner.api.threads import InThread
from tuner.errors import DatabaseProblem
from tuner.search.database.store import Store
from tuner.search.database.tables import SCHEMA, VERSION_TABLE
from tuner.search.watch import totals

router = APIRouter(tags=["system"], route_class=InThread)
_log = logging.getLogger(__name__)


class Health(BaseModel):
    """The server lives."""

    status: str = "ok"
    version: str = __version__


@router.get(
    "/health",
    operation_id="health",
    summary="Whether the server lives",
    responses=errors(),
)
def health() -> Health:
    """Answers without a key and without the database."""
    return Health()


@router.get(
    "/readiness",
    operation_id="readiness",
    summary="Whether the server can work",
    responses=errors(),
)
def readiness(request: Request) -> Health:
    """Answers without a key; 503 while the database is away, is another's, or is not kept.

    So it is while it cannot be written to, on a full disk or a standby.
    """
    _check_schema(request.app.state.store)
    try:
        request.app.state.writable.check()
    except DatabaseProblem as error:
        _log.warning("%s", error)
        detail = "the database cannot be written to; the server's log says why"
        raise HTTPException(503, detail, {"Retry-After": "5"}) from error
    if not any(thread.name == "keeper" for thread in threading.enumerate()):
        raise HTTPException(503, "nobody fills the queues any more: start the server again")
    return Health(status="ready")


def _check_schema(store: Store) -> None:
    """Ask the database for the version of its tables.

    Raises:
        DatabaseProblem: If this software needs another one.
    """
    versions = select(column("version_num", String)).select_from(table(VERSION_TABLE))
    with store.engine.connect() as connection:
        version = connection.scalar(versions)
    if version != SCHEMA:
        raise DatabaseProblem(f"the tables are of version {version}, this server needs {SCHEMA}")


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    dependencies=DOCUMENTED,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **errors(401),
    },
)
def metrics(request: Request, _who: Reader) -> Response:
    """Trials by state, workers, what was retried and lost, epochs per second, requests."""
    return Response(
        generate_latest(request.app.state.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


class DatabaseCollector(Collector):
    """Reads the totals from the database whenever they are asked for.

    Args:
        store: The database.
        registry: Where it is registered.
    """

    def __init__(self, store: Store, registry: CollectorRegistry) -> None:
        self._store = store
        self._tally = Tally(store)
        registry.register(self)

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering asks the database nothing."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The totals as they are now."""
        now = totals.totals(self._store)
        for name, about, label, counts in (
            ("tuner_trials", "Trials by state in the queue", "state", now.trials),
            ("tuner_comparisons", "Comparisons by status", "status", now.comparisons),
            ("tuner_workers", "Workers seen lately, by state", "state", now.workers),
        ):
            family = GaugeMetricFamily(name, about, labels=[label])
            for value, count in counts.items():
                family.add_metric([value], count)
            yield family
        happened = CounterMetricFamily(
            "tuner_queue_events",
            "Trials claimed, released, lost with their lease, finished, failed (and perhaps put "
            "back), retried by hand, since this server began",
            labels=["kind"],
        )
        seen = self._tally.read()
        for kind in ("claimed", "released", "lost", "finished", "failed", "retried"):
            happened.add_metric([kind], seen.get(kind, 0))
        yield happened
        yield GaugeMetricFamily(
            "tuner_trial_epochs",
            "Trial epochs trained by the workers of the last week",
            now.epochs,
        )
        yield GaugeMetricFamily(
            "tuner_epochs_per_second",
            "Trial epochs per second of training, of the workers seen lately",
            value=now.epochs_per_second,
        )
