"""A real server on a port of its own, and what its answers are held to."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tuner.api.app import create_app
from tuner.api.settings import Settings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
"""What schemathesis checks of an answer: that it is no 5xx, and documented."""


@contextmanager
def serving(database: str) -> Iterator[str]:
    """A real server of this database, which takes any number of requests; its address."""
    limits = {"max_trials": 50, "requests_per_minute": 10**9, "logins_per_minute": 10**9}
    app = create_app(Settings(database=database, **limits))  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
