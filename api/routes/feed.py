"""Events for all who listen, read once: a look for each of hundreds would take the server's time.

Everybody's clock strikes at the same moments. Who wakes first then looks, the others wait for the
same look, as do those whom the next strike wakes before it is over; and what it saw is put into
words once. Those who know less than is kept here, since they come back after a while, read for
themselves.
"""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from fastapi.sse import ServerSentEvent
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool

from tuner.search.database.events import Event, events_after, newest

LOOK_SECONDS: Final = 0.5
_KEPT: Final = 2000
_LONG_AGO: Final = 20
"""After so many strikes without a listener the feed begins anew, with what comes from then on."""


@dataclass(frozen=True)
class News:
    """An event: its number, whose it is, and what is sent of it."""

    id: int
    comparison: str | None
    sent: ServerSentEvent


class Feed:
    """The events of a database, for as many listeners as there are, in one event loop.

    Args:
        engine: The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: deque[News] = deque()
        self._before = self._last = 0
        self._strike = -_LONG_AGO
        self._look: asyncio.Future[None] | None = None

    async def read(self, known: int) -> Sequence[News]:
        """The events after the one that is known, as they are now, oldest first."""
        return _news(await run_in_threadpool(events_after, self._engine, known))

    async def after(self, known: int) -> Sequence[News]:
        """The same as of the next strike of everybody's clock.

        Raises:
            DBAPIError: If the database is away.
        """
        loop = asyncio.get_running_loop()
        await asyncio.sleep(LOOK_SECONDS - loop.time() % LOOK_SECONDS)
        strike = round(loop.time() / LOOK_SECONDS)
        if self._look is None or (strike != self._strike and self._look.done()):
            anew, self._strike = strike - self._strike >= _LONG_AGO, strike
            self._look = asyncio.ensure_future(self._begin() if anew else self._go_on())
        await asyncio.shield(self._look)  # others wait for it too, whoever gives up
        if known < self._before:
            return await self.read(known)
        return list(takewhile(lambda news: news.id > known, reversed(self._kept)))[::-1]

    async def _begin(self) -> None:
        self._kept.clear()
        self._before = self._last = await run_in_threadpool(newest, self._engine)

    async def _go_on(self) -> None:
        for news in await self.read(self._last):
            self._kept.append(news)
            self._last = news.id
        while len(self._kept) > _KEPT:
            self._before = self._kept.popleft().id


def _news(happened: Sequence[Event]) -> list[News]:
    return [News(event.id, event.comparison, _sent(event)) for event in happened]


def _sent(event: Event) -> ServerSentEvent:
    data = {"comparison": event.comparison, "created": event.created, **event.data}
    return ServerSentEvent(id=str(event.id), event=event.kind, raw_data=json.dumps(data))
