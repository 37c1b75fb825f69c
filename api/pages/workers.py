"""The page of all workers: who they are, what each trains, what became of those that ended.

Fleets on clusters stand there too, and whoever may change something can have them scaled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from tuner.api import deps
from tuner.api.auth import Reader, Writer
from tuner.api.pages.overview import NOT_ENDED
from tuner.api.pages.rendering import page
from tuner.api.threads import InThread
from tuner.search.database.store import Store
from tuner.search.fleets.views import FleetRow, ask, list_fleets
from tuner.search.watch import views

router = APIRouter(include_in_schema=False, route_class=InThread)

MOST_SHOWN = 500


@dataclass(frozen=True)
class Host:
    """A machine with its workers that have not ended."""

    name: str
    workers: Sequence[views.WorkerRow]


@dataclass(frozen=True)
class Roster:
    """The workers of the last week, and the fleets.

    Args:
        fleets: Fleets on clusters, those that are up first.
        hosts: Machines on which some start or live, or stopped themselves because of failures.
        ended: Those that stopped or are gone, the last ones first, ``MOST_SHOWN`` at most.
        n_ended: How many those are in all.
    """

    fleets: Sequence[FleetRow]
    hosts: Sequence[Host]
    ended: Sequence[views.WorkerRow]
    n_ended: int

    @property
    def announcement(self) -> str:
        """How many there are of each state, in words."""
        states = [worker.state for host in self.hosts for worker in host.workers]
        counts = {state: states.count(state) for state in dict.fromkeys(states)}
        words = ", ".join(f"{count} {state}" for state, count in counts.items())
        return words or "no worker is running"


def roster(store: Store) -> Roster:
    """The workers and fleets as they are now."""
    workers = views.list_workers(store)
    here = [worker for worker in workers if worker.state in NOT_ENDED]
    ended = [worker for worker in workers if worker.state not in NOT_ENDED]
    hosts = sorted({worker.host for worker in here})
    return Roster(
        fleets=list_fleets(store),
        hosts=[
            Host(name, sorted((w for w in here if w.host == name), key=lambda w: w.started))
            for name in hosts
        ],
        ended=ended[:MOST_SHOWN],
        n_ended=len(ended),
    )


@router.get("/workers")
def workers(request: Request, store: deps.Database, _who: Reader) -> HTMLResponse:
    """All workers."""
    return page(request, "workers", roster=roster(store))


@router.get("/workers/progress")
def workers_progress(request: Request, store: deps.Database, _who: Reader) -> HTMLResponse:
    """The part of their page that changes."""
    return page(request, "workers_live", roster=roster(store))


@router.post("/fleets/{fleet_id}/scale")
def scale(
    store: deps.Database,
    fleet_id: deps.FleetId,
    _who: Writer,
    least: Annotated[int, Form()],
    most: Annotated[int, Form()],
) -> RedirectResponse:
    """Have a fleet have so many workers."""
    ask(store, fleet_id, least, most)
    return RedirectResponse("/workers", 303)
