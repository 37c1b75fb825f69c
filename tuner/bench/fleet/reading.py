"""Who looks at the comparison meanwhile: clients of the server, as so many open pages."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from random import Random
from threading import Event

from tuner.bench.serving import Server, Shown, answered

CLIENTS = 10
_EVERY_SECONDS = 1.0
"""So often a page looks again, at most."""


@dataclass(frozen=True)
class Answer:
    """An answer of the server's.

    Args:
        asked: When it was asked for, by the clock that all processes of a machine share.
        seconds: How long it took.
    """

    asked: float
    seconds: float


@contextmanager
def reading(server: Server | None, comparison: str) -> Iterator[list[Answer]]:
    """Have clients ask once a second each while the block lasts; without a server nobody asks.

    Yields:
        What was answered, complete after the block.

    Raises:
        TunerError: After the block, if a request was refused.
    """
    answers: list[Answer] = []
    if server is None:
        yield answers
        return
    shown, ended = Shown(server, [comparison]), Event()

    def read(number: int) -> None:
        chance = Random(number)
        wait = chance.uniform(0, _EVERY_SECONDS)  # not all of them at the same moment
        with closing(server.connected()) as connection:
            while not ended.wait(wait):
                asked = time.monotonic()
                answers.append(Answer(asked, answered(connection, "GET", shown.path(chance))))
                wait = max(0.0, asked + _EVERY_SECONDS - time.monotonic())

    with ThreadPoolExecutor(CLIENTS, thread_name_prefix="reader") as pool:
        clients = [pool.submit(read, number) for number in range(CLIENTS)]
        try:
            yield answers
        finally:
            ended.set()
        for client in clients:
            client.result()
