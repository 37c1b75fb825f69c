"""Requests that are too large are refused before they are read."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tuner.api.problems import problem

_DETAIL = "the request is larger than this server takes (TUNER_MAX_BODY_BYTES)"


class BodyLimit:
    """Refuses requests with too large a body, announced or not.

    Args:
        app: Gets the others.
        most_bytes: How large a body may be.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        announced = (
            Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        )
        if announced.isdigit() and int(announced) > self._most:
            await problem(413, _DETAIL, headers={"Connection": "close"})(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most:
                raise HTTPException(413, _DETAIL)
            return message

        await self._app(scope, counted, send)
