"""Fleets on clusters: what they are, and how large they are to be."""

from typing import Annotated

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, Field

from tuner.api import deps
from tuner.api.auth import Reader, Writer
from tuner.api.problems import errors
from tuner.api.routes.comparisons import TAGGED
from tuner.api.threads import InThread
from tuner.errors import InvalidInput
from tuner.search.database.store import Store
from tuner.search.fleets import views
from tuner.search.fleets.wish import MOST_WORKERS

router = APIRouter(prefix="/fleets", tags=["fleets"], route_class=InThread)


class Fleet(BaseModel):
    """Workers on a Ray cluster, as their manager last wrote."""

    id: str
    address: str = Field(examples=["10.0.0.1:6379"], description="where its cluster is")
    started: float = Field(description="seconds since 1970, UTC")
    last_seen: float = Field(description="seconds since 1970, UTC")
    state: str = Field(description="up, draining, down, or gone without a word")
    target: int = Field(description="how many workers there are to be now")
    up: int = Field(description="how many are up")
    room: int = Field(description="how many the nodes of the cluster hold")
    min: int = Field(description="how few there are to be at least, as the queue is long")
    max: int = Field(description="how many at most")
    idle_seconds: float = Field(description="so long more stay than the queue asks for")
    revision: int = Field(description="counts wishes for its size")
    pending: bool = Field(description="whether its manager has not heard of the last one yet")
    trouble: str | None = Field(description="why it cannot be what it is to be")


class Fleets(BaseModel):
    """The fleets of the last week."""

    items: list[Fleet]


class FleetSize(BaseModel):
    """So many workers, or between so few and so many, as the queue is long."""

    model_config = {"extra": "forbid"}

    workers: int | None = Field(default=None, ge=1, le=MOST_WORKERS)
    min: int | None = Field(default=None, ge=0, le=MOST_WORKERS)
    max: int | None = Field(default=None, ge=1, le=MOST_WORKERS)

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most.

        Raises:
            InvalidInput: If neither way of saying it was taken, or both.
        """
        match self.workers, self.min, self.max:
            case int(workers), None, None:
                return workers, workers
            case None, int(least), int(most):
                return least, most
        raise InvalidInput('body: say either {"workers": 4}, or {"min": 0, "max": 8}')


@router.get("", operation_id="list_fleets", summary="List fleets", responses=errors(401))
def list_(store: deps.Database, _who: Reader) -> Fleets:
    """Those of the last week: first those that are up, the newest first."""
    return Fleets(items=[_shown(row) for row in views.list_fleets(store)])


@router.get(
    "/{fleet_id}",
    operation_id="get_fleet",
    summary="Look at a fleet",
    responses={200: TAGGED, **errors(401, 404, 422)},
)
def get(store: deps.Database, fleet_id: deps.FleetId, response: Response, _who: Reader) -> Fleet:
    """How many workers it is to have, and has."""
    return _now(store, fleet_id, response)


@router.patch(
    "/{fleet_id}",
    operation_id="scale_fleet",
    summary="Have a fleet be larger or smaller",
    responses={200: TAGGED, **errors(401, 404, 409, 412, 422)},
)
def scale(
    store: deps.Database,
    fleet_id: deps.FleetId,
    revision: deps.Revision,
    response: Response,
    body: Annotated[FleetSize, Body()],
    _who: Writer,
) -> Fleet:
    """Its manager takes that up within seconds, or when it is back; the last wish counts.

    Workers that are too many finish their epoch and put their trials back. A fleet that ends, is
    down or gone is not scaled (409), nor one whose nodes have no room for the fewest (422).
    """
    views.ask(store, fleet_id, *body.bounds, revision=revision)
    return _now(store, fleet_id, response)


def _now(store: Store, fleet_id: str, response: Response) -> Fleet:
    """The fleet; its revision becomes the answer's ETag."""
    row = views.get_fleet(store, fleet_id)
    response.headers["ETag"] = deps.etag(row.revision)
    return _shown(row)


def _shown(row: views.FleetRow) -> Fleet:
    return Fleet(
        id=row.id,
        address=row.address,
        started=row.started,
        last_seen=row.last_seen,
        state=row.state,
        target=row.target,
        up=row.up,
        room=row.room,
        min=row.least,
        max=row.most,
        idle_seconds=row.idle_seconds,
        revision=row.revision,
        pending=row.pending,
        trouble=row.trouble or None,
    )
