"""Requests that are too large, or that do not come to an end, are refused."""

import asyncio
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tuner.api.middleware.connections import MAX_HEAD_BYTES
from tuner.api.problems import problem

_DETAIL = "the request is larger than this server takes ({})"


class RequestLimit:
    """Refuses requests with too large a head or body, announced or not, or too slow a body.

    Args:
        app: Gets the others.
        most_bytes: How large a body may be.
        uploads: Path -> how large a body may be there.
        seconds: How long the body is waited for, in all.
    """

    def __init__(
        self, app: ASGIApp, most_bytes: int, uploads: Mapping[str, int], seconds: float
    ) -> None:
        self._app = app
        self._most = most_bytes
        self._uploads = uploads
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD_BYTES:
            detail = f"the headers are larger than the {MAX_HEAD_BYTES} bytes that they may have"
            await problem(431, detail)(scope, receive, send)
            return
        path = scope["path"]
        most = self._uploads.get(path, self._most)
        setting = "TUNER_MAX_UPLOAD_BYTES" if path in self._uploads else "TUNER_MAX_BODY_BYTES"
        detail = _DETAIL.format(setting)
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > most:
            await problem(413, detail)(scope, receive, send)
            return
        await self._app(scope, self._limited(receive, most, detail), send)

    def _limited(self, receive: Receive, most: int, too_large: str) -> Receive:
        """``receive``, which raises HTTPException once the body is too large or too slow."""
        received, left, whole = 0, self._seconds, False

        async def limited() -> Message:
            nonlocal received, left, whole
            if whole:  # the client is listened to for as long as it is answered
                return await receive()
            began = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(left):
                    message = await receive()
            except TimeoutError as error:
                detail = f"the body has to come within {self._seconds:g} seconds"
                raise HTTPException(408, f"{detail} (TUNER_REQUEST_SECONDS)") from error
            left -= asyncio.get_running_loop().time() - began
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if received > most:
                raise HTTPException(413, too_large)
            return message

        return limited
