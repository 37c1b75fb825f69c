"""A process that makes what takes seconds: threads would keep the interpreter from all others.

It starts when something is asked for, and ends when nothing was for a while, or with the server
that started it, however that ends.
"""

import logging
import queue
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from tuner.errors import (
    Conflict,
    DatabaseProblem,
    InvalidInput,
    NoComparison,
    NotFound,
    TunerError,
)
from tuner.search.database.patience import away, in_a_line
from tuner.search.work.surroundings import ONE_THREAD, fork

IMPORTED = [
    "tuner.api.reports.making",
    "tuner.api.pages.comparing.uploads",
    "tuner.compare.report.html",
    "tuner.compare.report.suite.html",
    "scipy.stats",
    "scipy.optimize",
    "opda.nonparametric",
    "matplotlib.backends.backend_svg",
    "sklearn.tree",
]
"""What is needed to make anything: a server imports it once, from which processes are forked."""

IDLE_SECONDS = 60.0
"""So long the process stays when nothing is to be made."""

_MOST_MADE = 100
"""After so many things it is replaced by a new one: memory comes apart."""

_TRAVEL = (Conflict, DatabaseProblem, NotFound)
"""Errors that come back as they are; of others their words do, and where they come from."""

_log = logging.getLogger(__name__)
Made = TypeVar("Made")


class MakerDied(TunerError):
    """The process that was making something is gone."""


class Maker:
    """Makes things one after another, in a process of its own.

    Args:
        name: What it makes, for the log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: queue.Queue[_Task] = queue.Queue()
        self._serving = threading.Lock()
        self._process: tuple[BaseProcess, Connection] | None = None
        self._made = 0

    def make(self, function: Callable[..., Made], *arguments: object) -> "Future[Made]":
        """What the function, of a module, returns for the arguments; all of them can be pickled.

        The promise is broken by MakerDied if the process dies, by an error of ``tuner.errors`` or
        a RuntimeError with its trace if the function raises.
        """
        promise: Future[Made] = Future()
        self._tasks.put((promise, function, arguments))
        threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        return promise

    def _serve(self) -> None:
        """Make what waits, until nothing does for a while; one thread at a time does so."""
        if not self._serving.acquire(blocking=False):
            return
        try:
            while True:
                self._make_next(*self._tasks.get(timeout=IDLE_SECONDS))
        except queue.Empty:
            self._end()
        finally:
            self._serving.release()
        if not self._tasks.empty():  # it came in the moment between
            self._serve()

    def _make_next(
        self, promise: "Future[Any]", function: Callable[..., Any], arguments: tuple[object, ...]
    ) -> None:  # Any: whatever is made
        try:
            _, pipe = self._running()
            pipe.send((function, arguments))
            good, value = pipe.recv()
        except (EOFError, OSError):
            code = self._end()
            _log.warning("the process that makes %s died (exit status %s)", self._name, code)
            promise.set_exception(
                MakerDied(
                    f"the process that makes {self._name} died (exit status {code}), perhaps for "
                    "want of memory; it is tried again in a minute"
                )
            )
            return
        except Exception as error:
            promise.set_exception(error)
            return
        self._made += 1
        if self._made >= _MOST_MADE:
            self._end()
        if good:
            promise.set_result(value)
        else:
            promise.set_exception(value)

    def _running(self) -> tuple[BaseProcess, Connection]:
        if self._process is not None and not self._process[0].is_alive():
            self._end()  # killed while it was idle
        if self._process is None:
            self._process = fork(_work, variables=ONE_THREAD, imported=IMPORTED, name=self._name)
            self._made = 0
        return self._process

    def _end(self) -> int | None:
        """End the process, if there is one; returns its exit status."""
        if self._process is None:
            return None
        process, pipe = self._process
        self._process = None
        pipe.close()
        process.join(1.0)
        if process.is_alive():
            process.kill()
            process.join()
        return process.exitcode


_Task = tuple["Future[Any]", Callable[..., Any], tuple[object, ...]]  # Any: whatever is made


def _work(pipe: Connection) -> None:
    """What the process runs: it makes what it is told to, until the server is gone."""
    with suppress(EOFError, OSError):
        while True:
            function, arguments = pipe.recv()
            pipe.send(_outcome(function, arguments))


def _outcome(function: Callable[..., Any], arguments: tuple[object, ...]) -> tuple[bool, Any]:
    """Whether it could be made, and it or why not; Any: whatever is made."""
    try:
        return True, function(*arguments)
    except NoComparison as error:  # it takes other arguments, as those of InvalidInput's kinds do
        return False, NotFound(str(error))
    except _TRAVEL as error:
        return False, type(error)(str(error))
    except InvalidInput as error:
        return False, InvalidInput(str(error))
    except (DBAPIError, StorageInternalError) as error:
        if away(error):
            return False, DatabaseProblem(in_a_line(error))
        return False, RuntimeError(traceback.format_exc())
    except Exception:
        return False, RuntimeError(traceback.format_exc())
