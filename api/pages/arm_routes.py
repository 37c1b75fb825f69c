"""The addresses of an arm's page and of its figures."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from tuner.api import deps
from tuner.api.auth import Reader
from tuner.api.pages.arm import Asked, arm_page, figure
from tuner.api.pages.rendering import PICTURE, page
from tuner.api.threads import InThread, slow
from tuner.errors import NotFound
from tuner.search.database.store import Store
from tuner.search.declared.arm_spec import ArmSpec

router = APIRouter(include_in_schema=False, route_class=InThread)

State = Literal["", "waiting", "running", "done", "failed", "cancelled"]
Study = Annotated[str, Query(max_length=300)]


@router.get("/comparisons/{name}/arms/{arm}")
@slow
def arm_of(
    request: Request,
    store: deps.Database,
    row: deps.Comparison,
    _who: Reader,
    arm: str,
    study: Study = "",
    state: State = "",
    cursor: deps.Cursor = None,
) -> HTMLResponse:
    """An arm's trials: figures of them all, and the log of each."""
    asked = Asked(row, _arm(store, row.name, arm), study or None, state or None, cursor)
    return page(request, "arm", shown=arm_page(store, asked))


@router.get("/comparisons/{name}/arms/{arm}/{figure_name}.svg")
@slow
def arm_figure(
    store: deps.Database,
    row: deps.Comparison,
    _who: Reader,
    arm: str,
    figure_name: str,
    study: Study = "",
) -> Response:
    """A figure of an arm's trials as a picture that stands alone."""
    asked = Asked(row, _arm(store, row.name, arm), study or None)
    picture = figure(store, asked, figure_name)
    return Response(picture, media_type="image/svg+xml", headers=PICTURE)


def _arm(store: Store, comparison: str, name: str) -> ArmSpec:
    arms = {arm.name: arm for arm in store.comparison(comparison).arms}
    if name not in arms:
        raise NotFound(f"comparison {comparison!r} has no arm {name!r}; it has {', '.join(arms)}")
    return arms[name]
