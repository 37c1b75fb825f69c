"""The actor that runs one worker process on a node, on what Ray has assigned to it."""

import logging
import os
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tuner.config import without_password
from tuner.fleet.cluster import ray_here
from tuner.fleet.code import code_here, differing
from tuner.fleet.order import Order
from tuner.machine import versions
from tuner.search.database.store import open_store
from tuner.search.queue.queue import Queue
from tuner.search.work.crew import Crew, Task

_LOOK_SECONDS = 0.5
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_log = logging.getLogger(__name__)

Doing = Literal["working", "draining", "drained", "refused", "broken"]
"""Refused: its code is another than was ordered. Broken: it could not work, and tries again."""


@dataclass(frozen=True)
class Seen:
    """How a worker was when it was last looked at.

    Args:
        doing: What it does.
        prefix: How the names begin that its processes have in the roster.
        host: Its host's name.
        node_id: Ray's name of its node.
        gpus: The GPUs that Ray has assigned to it.
        message: Why it does not work; empty if it does.
    """

    doing: Doing
    prefix: str
    host: str
    node_id: str
    gpus: tuple[str, ...]
    message: str = ""


class RemoteWorker:
    """Runs one worker process of a fleet, starts another where it ends, and tells how it is.

    Its methods return at once; the work is done by a process of its own, which a crew watches
    from a thread.

    Args:
        order: The fleet.
    """

    def __init__(self, order: Order) -> None:
        context = ray_here().get_runtime_context()
        self._order = order
        self._node_id: str = context.get_node_id()
        self._gpus = tuple(context.get_accelerator_ids().get("GPU", ()))
        self._prefix = f"{socket.gethostname()}-{os.getpid()}-"
        self._told_to_stop = threading.Event()
        self._at_once = False
        self._crew: Crew | None = None
        self._doing: Doing = "working"
        self._message = ""
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(self._gpus)
        _forget_main()
        if differs := differing(order.code, code_here()):
            self._doing, self._message = "refused", f"it runs other code: {differs}"
            return
        threading.Thread(target=self._work, name="worker", daemon=True).start()

    def look(self) -> Seen:
        """How it is."""
        return Seen(
            doing=self._doing,
            prefix=self._prefix,
            host=socket.gethostname(),
            node_id=self._node_id,
            gpus=self._gpus,
            message=self._message,
        )

    def drain(self) -> None:
        """Have it finish its epoch, keep its training, put its trials back, and end."""
        if self._doing == "working":
            self._doing = "draining"
        elif self._doing != "draining":
            self._doing = "drained"
        self._told_to_stop.set()

    def end(self) -> None:
        """Have it put its trials back and end, without an end to its epoch."""
        self._at_once = True
        self.drain()
        if (crew := self._crew) is not None:
            crew.kill()

    def _work(self) -> None:
        seconds = _FIRST_WAIT
        while not self._told_to_stop.is_set():
            try:
                self._run_crew()
                seconds = _FIRST_WAIT
            except Exception as error:  # it stays in its place, and says what is the matter
                _log.warning("a worker of the fleet cannot work", exc_info=True)
                self._doing, self._message = "broken", _in_a_line(error)
                self._told_to_stop.wait(seconds)
                seconds = min(2 * seconds, _LONGEST_WAIT)
        self._doing = "drained"

    def _run_crew(self) -> None:
        order = self._order
        store = open_store(order.database, must_exist=True)
        task = Task(
            order.database,
            None,
            order.make_trainer,
            retries=order.retries,
            grace_seconds=order.grace_seconds,
            log_format="text",
            share=order.wish.most,
            place=self._place(),
            device_name=f"cuda {' '.join(self._gpus)}" if self._gpus else None,
        )
        try:
            crew = self._crew = Crew(task, 1, Queue(store, retries=order.retries))
            try:
                self._doing, self._message = "working", ""
                while not self._told_to_stop.wait(_LOOK_SECONDS):
                    crew.watch(0.0)
            finally:
                self._doing = "draining" if self._told_to_stop.is_set() else self._doing
                if self._at_once:
                    crew.kill()
                crew.stop()
        finally:
            self._crew = None
            store.close()

    def _place(self) -> Mapping[str, object]:
        """What is recorded with each trial about where it ran."""
        known = versions("bnn-tuner", "optuna", "torch", "ray")
        python = sys.version.split()[0]
        return {
            "versions": {**known, "bnn-tuner": self._order.code["bnn-tuner"], "python": python},
            "source": self._order.code["source"],
            "host": socket.gethostname(),
            "node": self._node_id,
            **({"gpus": list(self._gpus)} if self._gpus else {}),
        }


def _in_a_line(error: Exception) -> str:
    return without_password(" ".join(str(error).split())) or type(error).__name__


def _forget_main() -> None:
    """Have processes started here not run Ray's own program first, as a child's main module."""
    main = sys.modules["__main__"]
    if getattr(main, "__spec__", None) is None:
        main.__file__ = None
