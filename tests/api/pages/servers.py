"""Real servers for real browsers: ``tuner serve`` in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESS = re.compile(r"^(http://127\.0\.0\.1:\d+) ", re.MULTILINE)


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """The address of a server over ``folder``'s SQLite file, as long as the block lasts."""
    log = folder / "server.log"
    command = [sys.executable, "-m", "tuner", "serve", "--port", "0", *options]
    environment = {
        **os.environ,
        "TUNER_DATABASE_URL": f"sqlite:///{folder}/tuner.db",
        "TUNER_CHECKPOINT_DIR": str(folder / "checkpoints"),
        "PYTHONUNBUFFERED": "1",
    }
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            yield _ready(process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            finally:
                process.kill()


def _ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        told = log.read_text(encoding="utf-8")
        address = ADDRESS.search(told)
        if address and "startup complete" in told:
            return address.group(1)
        assert process.poll() is None, told
        time.sleep(0.05)
    raise AssertionError(f"the server did not start: {log.read_text(encoding='utf-8')}")
