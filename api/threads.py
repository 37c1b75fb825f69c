"""One thread for a request: its route runs in it, and what it returns is written down outside.

FastAPI takes a thread for each plain function and another to check what it returned; under many
readers the handing over costs more than the work. So routes look like coroutines to it.
"""

import functools
from collections.abc import Callable
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool


class InThread(APIRoute):
    """A route whose plain function runs in a thread, and nothing else of it."""

    def __init__(
        self, path: str, endpoint: Callable[..., Any], **options: Any
    ) -> None:  # Any: as FastAPI has it
        super().__init__(path, _in_thread(endpoint), **options)


def _in_thread(endpoint: Callable[..., Any]) -> Callable[..., Any]:  # Any: as FastAPI has it
    if iscoroutinefunction(endpoint) or isasyncgenfunction(endpoint):
        return endpoint

    @functools.wraps(endpoint)
    async def called(**arguments: Any) -> Any:  # Any: whatever the route takes and returns
        return await run_in_threadpool(endpoint, **arguments)

    return called
