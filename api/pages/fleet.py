"""The page of all workers: who they are, what each trains, what became of those that ended."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tuner.api import deps
from tuner.api.auth import Reader
from tuner.api.pages.overview import NOT_ENDED
from tuner.api.pages.rendering import page
from tuner.api.threads import InThread
from tuner.search.database.store import Store
from tuner.search.watch import views

router = APIRouter(include_in_schema=False, route_class=InThread)

MOST_SHOWN = 500


@dataclass(frozen=True)
class Host:
    """A machine with its workers that have not ended."""

    name: str
    workers: Sequence[views.WorkerRow]


@dataclass(frozen=True)
class Fleet:
    """The workers of the last week.

    Args:
        hosts: Machines on which some start or live, or stopped themselves because of failures.
        ended: Those that stopped or are gone, the last ones first, ``MOST_SHOWN`` at most.
        n_ended: How many those are in all.
    """

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


def fleet(store: Store) -> Fleet:
    """The workers as they are now."""
    workers = views.list_workers(store)
    here = [worker for worker in workers if worker.state in NOT_ENDED]
    ended = [worker for worker in workers if worker.state not in NOT_ENDED]
    hosts = sorted({worker.host for worker in here})
    return Fleet(
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
    return page(request, "workers", fleet=fleet(store))


@router.get("/workers/progress")
def workers_progress(request: Request, store: deps.Database, _who: Reader) -> HTMLResponse:
    """The part of their page that changes."""
    return page(request, "workers_live", fleet=fleet(store))
