"""What happens, as it happens: server-sent events."""

import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from tuner.api import deps
from tuner.api.auth import Reader, authority
from tuner.api.problems import errors
from tuner.api.routes.feed import Feed
from tuner.search.database.events import newest

router = APIRouter(tags=["events"])

_ASK_SECONDS = 5.0
"""How often it is asked whether the key is still valid."""

_LONGEST_SECONDS = 600.0
"""A stream ends after so long, to be asked for again."""


@router.get(
    "/events",
    operation_id="stream_events",
    summary="What happens, as it happens",
    response_class=EventSourceResponse,
    responses=errors(401, 422),
)
async def stream(
    request: Request,
    store: deps.Database,
    who: Reader,
    comparison: Annotated[str | None, Query(description="only this comparison's")] = None,
    after: Annotated[
        int | None, Query(ge=0, le=2**31 - 1, description="the last event already known")
    ] = None,
    seconds: Annotated[
        float, Query(gt=0, le=_LONGEST_SECONDS, description="when the stream ends")
    ] = _LONGEST_SECONDS,
    last_event_id: Annotated[
        str | None, Header(description="as `after`; browsers send it when they connect again")
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Submitted, claimed, finished, failed, lost, paused, resumed, cancelled, retried, complete.

    Also labelled (notes, tags, archived), deleted, operation (how far long work is). Every event
    has an id; who comes back with the last one misses none. Without one the stream begins now.
    """
    known = after
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit():
        known = min(int(last_event_id), 2**31 - 1)
    if known is None:
        known = await run_in_threadpool(newest, store.engine)
    feed: Feed = request.app.state.feed
    deadline = time.monotonic() + seconds
    asked = time.monotonic()
    happened = await feed.read(known)
    while time.monotonic() < deadline and not request.app.state.closing:
        if time.monotonic() - asked > _ASK_SECONDS:
            if not await run_in_threadpool(authority(request).still, who):
                return
            asked = time.monotonic()
        for news in happened:
            known = news.id
            if comparison in (None, news.comparison):
                yield news.sent
        happened = await feed.after(known)
