"""The application: REST under /v1, the page at /, the Optuna dashboard under /dashboard.

The server holds nothing that matters: declarations and states are in the database, trials are run
by workers. It may be killed and started again at any time, and several may share a database.
"""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from tuner import __version__
from tuner.api import pages, sessions
from tuner.api.auth import Authority
from tuner.api.dashboard import Dashboard, DashboardOf
from tuner.api.middleware.connections import Limits
from tuner.api.middleware.head import HeadAsGet
from tuner.api.middleware.host import HostChecked
from tuner.api.middleware.limit import RequestLimit
from tuner.api.middleware.observe import Observed, RequestMetrics
from tuner.api.problems import install
from tuner.api.routes import documents, plain_reads, system, v1
from tuner.api.routes.feed import Feed
from tuner.api.settings import Settings
from tuner.api.threads import limit_reads
from tuner.api.writable import Writable
from tuner.search.database.store import open_store
from tuner.search.watch.notify.notifier import notified
from tuner.search.work.keeper import kept
from tuner.signals import hearing

_ABOUT = """Launch comparisons of search spaces for binary neural networks, follow them, read what
came out. Errors are problem documents (RFC 9457). A POST may carry an Idempotency-Key: repeated
with the same body it is answered the same. Changes may carry If-Match with the ETag last read.
What takes GET takes HEAD."""


def create() -> FastAPI:
    """The application that the environment describes; see ``tuner.api.settings``."""
    return create_app(Settings.from_environment())


def create_app(settings: Settings) -> FastAPI:
    """The application.

    Args:
        settings: What can be set about it.
    """
    registry = CollectorRegistry()

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[dict[str, Limits]]:
        store = open_store(settings.database)
        limit_reads(store)
        try:
            app.state.store = store
            app.state.authority = Authority(store, settings)
            app.state.dashboard = DashboardOf(store)
            app.state.writable = Writable(store)
            app.state.feed = Feed(store.engine)
            system.DatabaseCollector(store, registry)
            with kept(store), notified(store, settings.notify), _noting_stops(app):
                most, seconds = settings.max_connections, settings.request_seconds
                yield {"limits": Limits.possible(most, seconds)}
        finally:
            app.state.closing = True
            store.close()

    app = FastAPI(
        title="bnn-tuner",
        summary="How much tuning does a parametrization of binary networks need?",
        description=" ".join(_ABOUT.split()),
        version=__version__,
        lifespan=living,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,  # generators would call two models the same
    )
    app.state.settings = settings
    app.state.registry = registry
    app.state.closing = False
    install(app)
    app.router.routes.append(plain_reads)
    app.include_router(v1, prefix="/v1")
    app.include_router(documents.router)
    app.include_router(sessions.router)
    app.include_router(pages.router)
    pages.install(app)
    app.add_middleware(Dashboard)
    app.add_middleware(HeadAsGet)
    app.add_middleware(
        RequestLimit,
        most_bytes=settings.max_body_bytes,
        uploads={"/compare": settings.max_upload_bytes},
        seconds=settings.request_seconds,
    )
    app.add_middleware(HostChecked)
    app.add_middleware(Observed, metrics=RequestMetrics(registry))
    return app


@contextmanager
def _noting_stops(app: FastAPI) -> Iterator[None]:
    """Note a signal at once, so that streams end by themselves: the server waits for them."""

    def note(number: int, frame: FrameType | None) -> None:
        app.state.closing = True
        handler = before[number]
        if callable(handler):
            handler(number, frame)

    with hearing(note, signal.SIGTERM, signal.SIGINT) as before:
        yield
