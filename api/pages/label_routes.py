"""The addresses that a comparison's notes and tags are sent to, and that archive it."""

import re
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse

from tuner.api import deps
from tuner.api.auth import Writer
from tuner.api.threads import InThread
from tuner.search.queue.labels import Labels, change_labels

router = APIRouter(include_in_schema=False, route_class=InThread)


@router.post("/comparisons/{name}/labels")
def labels(
    store: deps.Database,
    row: deps.Comparison,
    _who: Writer,
    notes: Annotated[str, Form()] = "",
    tags: Annotated[str, Form()] = "",
) -> RedirectResponse:
    """Write notes and tags on a comparison; tags are parted by blanks or commas."""
    given = [tag for tag in re.split(r"[\s,]+", tags) if tag]
    change_labels(store, row.name, Labels(notes=notes.replace("\r\n", "\n"), tags=given))
    return RedirectResponse(f"/comparisons/{row.name}", 303)


@router.post("/comparisons/{name}/archive")
def archive(store: deps.Database, row: deps.Comparison, _who: Writer) -> RedirectResponse:
    """Leave a comparison out of the lists."""
    change_labels(store, row.name, Labels(archived=True))
    return RedirectResponse(f"/comparisons/{row.name}", 303)


@router.post("/comparisons/{name}/unarchive")
def unarchive(store: deps.Database, row: deps.Comparison, _who: Writer) -> RedirectResponse:
    """Take a comparison into the lists again."""
    change_labels(store, row.name, Labels(archived=False))
    return RedirectResponse(f"/comparisons/{row.name}", 303)
