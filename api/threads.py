"""Which threads the routes run in, and how many at once.

Threads of one process share one interpreter: ten keep it busy, and with forty the event loop waits
for its turn among them. An SQLite file is read by the process itself, and at each of its rows the
interpreter goes to whichever thread wants it: handing it over among ten can take longer than
reading, among four it takes little. Whoever waits for something else has a lane of its own:
writers wait for each other, and readers are not to wait for them, nor for pages, which ask much.
Reports are made in other processes, and nobody's thread waits for one.

FastAPI takes a thread for each plain function and another to check what it returned; under many
readers the handing over costs more than the work. So routes look like coroutines to it, and what
they return is written down outside; what their path names is ``Later``, looked up in the same
thread.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, Literal, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from fastapi import Request, Response
from fastapi.routing import APIRoute

from tuner.api.middleware.json_body import strict
from tuner.search.database.store import Store

Lane = Literal["reads", "writes", "slow"]
THREADS: Mapping[Lane, int] = {"reads": 10, "writes": 10, "slow": 4}
"""How many routes of each kind run at once; the others wait for their turn."""

_READING_A_FILE = 4
"""As many reads at once, of an SQLite file."""

_lanes: RunVar[dict[Lane, CapacityLimiter]] = RunVar("api.threads.lanes")
_SLOW = "_takes_seconds"
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Result = TypeVar("Result")


def slow(endpoint: Endpoint) -> Endpoint:
    """Marks a route that may take seconds; put it below the router's decorator."""
    setattr(endpoint, _SLOW, True)
    return endpoint


def limit_reads(store: Store) -> None:
    """Have as many reads at once as suit the database; what FastAPI runs by itself is among them.

    Args:
        store: The database.
    """
    most = _READING_A_FILE if store.engine.dialect.name == "sqlite" else THREADS["reads"]
    anyio.to_thread.current_default_thread_limiter().total_tokens = most


async def in_lane(lane: Lane, function: Callable[..., Result], *arguments: Any) -> Result:
    """What the function returns, run in a thread of the lane once it is its turn."""
    if lane == "reads":
        return await anyio.to_thread.run_sync(function, *arguments)
    lanes = _lanes.get(None)
    if lanes is None:
        lanes = {name: CapacityLimiter(threads) for name, threads in THREADS.items()}
        _lanes.set(lanes)
    return await anyio.to_thread.run_sync(function, *arguments, limiter=lanes[lane])


class Later:
    """An argument that a route gets looked up in its own thread; see ``InThread``.

    Args:
        look_up: Called with the arguments once the route runs.
    """

    def __init__(self, look_up: Callable[..., object], *arguments: object) -> None:
        self.value = functools.partial(look_up, *arguments)


@dataclass(frozen=True)
class Promised:
    """What a route returns that others make: it is waited for without a thread.

    Args:
        promise: What is made.
        then: Makes the answer of it.
    """

    promise: Future[Any]  # Any: whatever is made, or answered
    then: Callable[[Any], Any]


class InThread(APIRoute):
    """A route whose plain function runs in a thread of its lane, and nothing else of it.

    JSON in which a key occurs twice is refused.
    """

    def __init__(
        self, path: str, endpoint: Callable[..., Any], **options: Any
    ) -> None:  # Any: as FastAPI has it
        reads = set(options.get("methods") or ["GET"]) <= {"GET", "HEAD"}
        lane: Lane = "reads" if reads else "writes"
        super().__init__(path, _in_thread(endpoint, lane), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's own, which refuses JSON that says a thing twice."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(strict(request))

        return handle_strictly


def _in_thread(endpoint: Callable[..., Any], lane: Lane) -> Callable[..., Any]:
    if iscoroutinefunction(endpoint) or isasyncgenfunction(endpoint):
        return endpoint
    lane = "slow" if getattr(endpoint, _SLOW, False) else lane

    @functools.wraps(endpoint)
    async def called(**arguments: Any) -> Any:  # Any: whatever the route takes and returns
        answer = await in_lane(lane, _with_values, endpoint, arguments)
        if isinstance(answer, Promised):  # others may wait for it too, whoever gives up
            return answer.then(await asyncio.shield(asyncio.wrap_future(answer.promise)))
        return answer

    return called


def _with_values(endpoint: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    values = {n: a.value() if isinstance(a, Later) else a for n, a in arguments.items()}
    return endpoint(**values)
