"""Requests whose Host header is no address are refused before anything reads their URL."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tuner.api.problems import problem


class HostChecked:
    """Refuses requests with a malformed Host header.

    Args:
        app: Gets the others.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and not _is_host(Headers(scope=scope).get("host", "")):
            await problem(400, "the Host header is no address")(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_host(written: str) -> bool:
    try:
        parts = urlsplit(f"//{written}")
        return parts.port is None or parts.port > 0
    except ValueError:
        return False
