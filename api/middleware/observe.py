"""What is noted about every request: its id, a log line, the metrics; and headers for browsers."""

import logging
import re
import secrets
import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tuner.api.problems import unforeseen
from tuner.logs import request_id

_FORM = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_log = logging.getLogger("api.access")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""What a page may load and do, unless it says so itself: styles lie inside the reports."""


class RequestMetrics:
    """How many requests there were, how they ended, how long they took.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "route", "status")
        self.requests = Counter("tuner_http_requests", "Requests", labels, registry=registry)
        self.seconds = Histogram(
            "tuner_http_request_seconds", "Their duration", ("route",), registry=registry
        )


class Observed:
    """Gives each request an id, which its answer and its log lines carry, and counts it.

    Args:
        app: Answers the requests.
        metrics: Counts them.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        current = given if _FORM.fullmatch(given) else secrets.token_hex(8)
        token = request_id.set(current)
        began, status, started = time.perf_counter(), 500, False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = current
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if headers.get("content-type", "").startswith("text/html"):
                    headers.setdefault("Content-Security-Policy", _POLICY)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if started:
                raise  # the connection is cut off, so that nobody takes the answer for whole
            await unforeseen(error)(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - began
            route = _template(scope)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            _log.info(
                "request",
                extra={
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "seconds": round(seconds, 4),
                },
            )
            request_id.reset(token)


def _template(scope: Scope) -> str:
    """The path as its route declares it, such as /v1/trials/{trial_id}; other if it has none."""
    path: str | None = getattr(scope.get("route"), "path", None)
    if path is None:
        return "other"
    parts = scope["path"].split("/")  # a route does not know the prefix that it is under
    return "/".join(parts[: len(parts) - path.count("/")]) + path
