"""``tuner serve``: the REST API, the page and the Optuna dashboard."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Annotated

import typer

from tuner.cli.present import Database
from tuner.config import database_url
from tuner.errors import InvalidInput
from tuner.logs import LogFormat, configure
from tuner.search import keys
from tuner.search.store import open_store

APPLICATION = "api.app:create"
"""Where uvicorn finds the application: the package ``api`` imports this one, never the reverse."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LONGEST_WAIT = 60.0


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
    log_format: Annotated[LogFormat, typer.Option(help="how log lines look")] = LogFormat.text,
) -> None:
    """Serve the REST API, the page and the Optuna dashboard.

    Trials are run by workers: tuner worker, here or elsewhere, or --with-workers. Without an API
    key the server answers this machine only; tuner keys create makes one. The environment
    variables that set its limits are in api/settings.py.

    For example:

    tuner serve --with-workers 2

    tuner serve --host 0.0.0.0 --database postgresql://me@host/tuner --log-format json
    """
    import uvicorn

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
    config = uvicorn.Config(
        APPLICATION,
        factory=True,
        log_config=None,
        access_log=False,
        proxy_headers=True,
        timeout_graceful_shutdown=5,
    )
    with _Workers(with_workers, url, log_format):
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    """The socket to serve on.

    Raises:
        InvalidInput: If the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        raise InvalidInput(f"{host}:{port}: {reason}; give another --port") from error
    return listening


class _Workers:
    """A ``tuner worker`` beside the server, started again if it ends; as a context manager.

    Args:
        processes: How many processes it is to have; 0 for no worker.
        database: The address.
        log_format: How its log lines look.
    """

    def __init__(self, processes: int, database: str, log_format: str) -> None:
        self._command = [sys.executable, "-m", "tuner.cli", "worker"]
        self._command += ["--processes", str(processes), "--database", database]
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
        wait = 1.0
        while not self._ended.is_set():
            # In a session of its own: Ctrl-C reaches the server, which tells it.
            process = subprocess.Popen(self._command, start_new_session=True)
            while process.poll() is None:
                if self._ended.wait(0.2):
                    process.send_signal(signal.SIGTERM)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(90)
                    process.kill()
                    process.wait()
                    return
            self._ended.wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
