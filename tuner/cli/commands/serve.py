"""``tuner serve``: the REST API, the page and the Optuna dashboard."""

import ipaddress
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Annotated

import typer

from tuner.cli.present import Database
from tuner.config import database_url
from tuner.doctor.checks import SERVING, examine
from tuner.errors import InvalidInput, TunerError
from tuner.logs import LogFormat, configure
from tuner.search.database import keys
from tuner.search.database.store import open_store
from tuner.signals import hearing

APPLICATION = "tuner.api.app:create"
"""Where uvicorn finds the application: it imports this package, never the reverse."""

CONNECTION = "tuner.api.middleware.connections:Connection"
"""Where uvicorn finds what reads requests off a connection."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_BACKLOG = 2048
_FILES = 8192
"""As many files and connections are asked of the system, where its limit is lower."""

_GRACE_SECONDS = 90.0
"""So long a worker that is told to stop is waited for; it gives its own processes a minute."""

_log = logging.getLogger(__name__)


def serve(
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8000,
    database: Database = None,
    with_workers: Annotated[
        int, typer.Option(min=0, help="also run so many worker processes here")
    ] = 0,
    dashboard_writes: Annotated[
        bool, typer.Option("--dashboard-writes", help="let the dashboard change studies")
    ] = False,
    keep_alive_seconds: Annotated[
        int,
        typer.Option(
            min=1,
            envvar="TUNER_KEEP_ALIVE_SECONDS",
            help="seconds that a connection may be idle; set it above that of a proxy in front",
        ),
    ] = 75,
    trusted_proxies: Annotated[
        str,
        typer.Option(
            envvar="TUNER_TRUSTED_PROXIES",
            metavar="ADDRESSES",
            help="addresses or networks, with commas between them, whose X-Forwarded-For and "
            "X-Forwarded-Proto are believed",
        ),
    ] = "",
    log_format: Annotated[LogFormat, typer.Option(help="how log lines look")] = LogFormat.text,
) -> None:
    """Serve the REST API, the page and the Optuna dashboard.

    Trials are run by workers: tuner worker, here or elsewhere, or --with-workers. Without an API
    key the server answers this machine only; tuner keys create makes one. What tuner doctor would
    warn of is logged at the start. The environment variables that set the server's limits are in
    docs/service.md.

    For example:

    tuner serve --with-workers 2

    tuner serve --host 0.0.0.0 --database postgresql://me@host/tuner --log-format json
    """
    import uvicorn

    proxies = _proxies(trusted_proxies)
    configure(log_format)
    url = database or database_url()
    store = open_store(url)
    try:
        if host not in _LOOPBACK and not keys.any_valid(store):
            raise InvalidInput(
                f"--host {host}: without an API key only 127.0.0.1 is served; make one first "
                "with: tuner keys create NAME"
            )
    finally:
        store.close()
    os.environ["TUNER_DATABASE_URL"] = url
    if dashboard_writes:
        os.environ["TUNER_DASHBOARD_WRITES"] = "1"
    listening = _listen(host, port)
    where = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    typer.echo(f"{where}  (REST {where}/v1/docs, Optuna dashboard {where}/dashboard)")
    _allow_files()
    _warn(url)
    config = uvicorn.Config(
        APPLICATION,
        factory=True,
        http=CONNECTION,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        timeout_keep_alive=keep_alive_seconds,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # The server hears them while it runs, and raises them again at its end: unheard, that would
    # end this process before its workers were told.
    with (
        _Workers(with_workers, log_format),
        hearing(stop, signal.SIGINT, signal.SIGTERM),
    ):
        server.run(sockets=[listening])


def _proxies(written: str) -> list[str]:
    """The addresses and networks.

    Raises:
        InvalidInput: If one of them is neither.
    """
    proxies = [each.strip() for each in written.split(",") if each.strip()]
    for each in proxies:
        try:
            ipaddress.ip_network(each)
        except ValueError as error:
            raise InvalidInput(
                f"--trusted-proxies: {each!r} is no address and no network ({error}); write them "
                "as in 10.0.0.2,10.1.0.0/16"
            ) from error
    return proxies


def _allow_files() -> None:
    """Let this process have many connections, as far as the system lets it."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if now != resource.RLIM_INFINITY and now < possible:
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, most))


def _warn(url: str) -> None:
    """Log what ``tuner doctor`` would warn a server of."""
    for name, finding in examine(url, os.environ, SERVING).items():
        if finding.status != "ok":
            _log.warning("%s: %s; %s", name, finding.found, finding.fix)


def _listen(host: str, port: int) -> socket.socket:
    """The socket to serve on.

    Raises:
        InvalidInput: If the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Of a socket whose protocol is not named, asyncio does not switch Nagle's algorithm off, and
    # then every answer on a kept connection waits 40 ms for the client's acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)  # who comes before the application is up waits for it
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        raise InvalidInput(f"{host}:{port}: {reason}; give another --port") from error
    return listening


class _Workers:
    """A ``tuner worker`` beside the server, started again if it ends; as a context manager.

    Args:
        processes: How many processes it is to have; 0 for no worker.
        log_format: How its log lines look.

    It finds the database's address, which may hold a password, in the environment: what is on a
    command line, every user of the machine can read.
    """

    def __init__(self, processes: int, log_format: str) -> None:
        # -P: what happens to lie in the working directory is not imported in place of a package.
        self._command = [sys.executable, "-P", "-m", "tuner", "worker"]
        self._command += ["--processes", str(processes)]
        self._command += ["--log-format", log_format, "--parent", str(os.getpid())]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="workers", daemon=True)
        self._wanted = processes > 0

    def __enter__(self) -> None:
        if self._wanted:
            self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        if self._wanted:
            self._thread.join()

    def _keep(self) -> None:
        """Start it, again and again but ever more slowly if it ends."""
        wait = _FIRST_WAIT
        while not self._ended.is_set():
            began = time.monotonic()
            # In a session of its own: Ctrl-C reaches the server, which tells it.
            process = subprocess.Popen(self._command, start_new_session=True)
            while process.poll() is None:
                if self._ended.wait(0.2):
                    process.terminate()
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(_GRACE_SECONDS)
                    process.kill()
                    process.wait()
                    return
            if time.monotonic() - began > _LONGEST_WAIT:  # it had been well
                wait = _FIRST_WAIT
            _log.warning(
                "the worker ended (%d); another starts in %.0f s", process.returncode, wait
            )
            self._ended.wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT)


def notify() -> None:
    """Send a test by every way of telling people that the environment sets up.

    tuner serve sends notices when a comparison ends, stalls or begins to fail.

    For example:

    TUNER_WEBHOOK_URL=https://example.org/hook TUNER_WEBHOOK_SECRET=... tuner notify
    """
    from tuner.search.watch.notify.notifier import send_sample
    from tuner.search.watch.notify.settings import from_environment

    settings = from_environment()
    if not settings.channels:
        raise InvalidInput(
            "notify: nobody is told; set TUNER_WEBHOOK_URL and TUNER_WEBHOOK_SECRET, or "
            "TUNER_SMTP_URL, TUNER_MAIL_FROM and TUNER_MAIL_TO"
        )
    outcomes = send_sample(settings)
    for channel, failure in outcomes.items():
        typer.echo(f"{channel}: {failure or 'delivered'}")
    if any(outcomes.values()):
        raise TunerError("not every way of telling works; see above")
