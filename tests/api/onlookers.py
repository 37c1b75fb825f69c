"""Clients that keep connections of a server: some listen to events, some never say a word.

    python -m tests.api.onlookers PORT --listeners 200 --silent 1000

runs until it is told to stop (SIGTERM), and then prints, as JSON, what each listener heard and
how often connections were opened. What the server closes is opened again five seconds later.
"""

import argparse
import asyncio
import json
import resource
import signal
import sys
from dataclasses import dataclass, field

_AGAIN_SECONDS = 5.0
_FILES = 8192


@dataclass
class Listener:
    """One who listens to events, and comes back with the last that it knows.

    Args:
        known: The number of the last event it knows.
        heard: How many events came.
        twice: How many came that it knew already.
        opened: How often it connected.
        refused: The answers that were no streams.
    """

    known: int
    heard: int = 0
    twice: int = 0
    opened: int = 0
    refused: list[str] = field(default_factory=list)

    async def listen(self, port: int) -> None:
        """Listen, for ever."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            self.opened += 1
            writer.write(
                b"GET /v1/events?seconds=600 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Last-Event-ID: %d\r\n\r\n" % self.known
            )
            try:
                await self._read(reader)
            except OSError:
                pass
            writer.close()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        status = (await reader.readline()).decode().strip()
        if " 200 " not in f"{status} ":
            self.refused.append(status)
            return
        while line := await reader.readline():
            if line.startswith(b"id: "):
                number = int(line[4:])
                self.twice += number <= self.known
                self.heard += 1
                self.known = number


async def _keep_silent(port: int, opened: list[int]) -> None:
    """Hold a connection and say nothing, for ever."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(_AGAIN_SECONDS)
            continue
        opened[0] += 1
        try:
            await reader.read()
        except OSError:
            pass
        writer.close()
        await asyncio.sleep(_AGAIN_SECONDS)


async def look_on(port: int, *, listeners: int, silent: int, after: int) -> dict[str, object]:
    """Listen and be silent until SIGTERM; returns what to print."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    hearing = [Listener(after) for _ in range(listeners)]
    opened = [0]
    tasks = [asyncio.ensure_future(each.listen(port)) for each in hearing]
    tasks += [asyncio.ensure_future(_keep_silent(port, opened)) for _ in range(silent)]
    await stop.wait()
    for task in tasks:
        task.cancel()
    return {
        "known": [each.known for each in hearing],
        "heard": [each.heard for each in hearing],
        "twice": sum(each.twice for each in hearing),
        "refused": [status for each in hearing for status in each.refused],
        "streams": sum(each.opened for each in hearing),
        "silent": opened[0],
    }


def allow_files() -> None:
    """Let this process have thousands of connections.

    Raises:
        SystemExit: If the system does not let it.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < _FILES:
        raise SystemExit(f"needs {_FILES} files, may have {most}: raise ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, _FILES), most))


def main() -> None:
    """Look on as the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--listeners", type=int, default=200)
    parser.add_argument("--silent", type=int, default=1000)
    parser.add_argument("--after", type=int, default=0, help="the last event already known")
    given = parser.parse_args()
    allow_files()
    asked = look_on(given.port, listeners=given.listeners, silent=given.silent, after=given.after)
    sys.stdout.write(json.dumps(asyncio.run(asked)))


if __name__ == "__main__":
    main()
