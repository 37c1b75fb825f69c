"""What a fleet is to be, as its manager knows it: by whom it was told, and what survives it."""

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tuner.search.database.store import Store
from tuner.search.fleets import book
from tuner.search.fleets.wish import Wish


class Aim:
    """How many workers there are to be: the last wish, typed there or left in the database.

    Its methods may be called from several threads.

    Args:
        wish: What there is to be at first.
        keep: Called with what is to survive the end of this process, whenever that changes.
        kept: What it was called with last, in the process before; None if there was none.

    Attributes:
        fleet_id: By what the fleet is known in the database.
        wish: What there is to be.
        target: How many workers that means now.
        draining: Whether the fleet is to end.
        at_once: Whether it is to do so without an end to epochs.
    """

    def __init__(self, wish: Wish, keep: Callable[[str], object], kept: str | None = None) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._asked_for_last = time.monotonic()
        self.fleet_id = secrets.token_hex(6)
        self.wish, self.target = wish, wish.workers
        self.draining = self.at_once = False
        self._revision = 1
        self._typed: float | None = None
        if kept is None:
            self._remember()
        else:
            self._recall(json.loads(kept))

    def scale(self, wish: Wish) -> None:
        """Have it be as large as this from now on."""
        with self._lock:
            self._typed = time.time()
            self._adopt(wish)

    def end(self) -> bool:
        """Have it end; asked again, at once.

        Returns:
            Whether at once.
        """
        with self._lock:
            self.at_once, self.draining = self.draining, True
            self._remember()
            return self.at_once

    def follow(self, wish: Wish, busy: int) -> None:
        """Have as many workers as can be busy, and fewer once that was too many for a while.

        Args:
            wish: The wish by which that was counted; nothing is done if there is a later one.
            busy: How many could be busy now.
        """
        wanted, now = wish.nearest(busy), time.monotonic()
        with self._lock:
            if wanted >= self.target:
                self._asked_for_last = now
            elif now - self._asked_for_last < wish.idle_seconds:
                return
            if self.wish is wish and wanted != self.target:
                self.target = wanted
                self._remember()

    def write(self, store: Store, entry: book.Entry) -> None:
        """Write down how the fleet is, and go by a wish that was left there meanwhile."""
        with self._lock:
            wish, revision = self.wish, self._revision
            age = None if self._typed is None else max(0.0, time.time() - self._typed)
        now = book.write(store, self.fleet_id, entry, book.Known(wish, revision, age))
        with self._lock:
            if self.wish is not wish:  # another was typed meanwhile: which is later is seen next
                return
            if (now.revision, age) != (revision, None):
                self._revision, self._typed = now.revision, None
                self._adopt(now.wish)

    def _adopt(self, wish: Wish) -> None:
        self.wish, self.target = wish, wish.nearest(self.target)
        self._asked_for_last = time.monotonic()
        self._remember()

    def _remember(self) -> None:
        self._keep(
            json.dumps(
                {
                    "fleet_id": self.fleet_id,
                    "wish": asdict(self.wish),
                    "target": self.target,
                    "draining": self.draining,
                    "revision": self._revision,
                    "typed": self._typed,
                }
            )
        )

    def _recall(self, kept: dict[str, Any]) -> None:  # Any: JSON
        self.fleet_id = kept["fleet_id"]
        self.wish, self.target = Wish(**kept["wish"]), kept["target"]
        self.draining = kept["draining"]
        self._revision, self._typed = kept["revision"], kept["typed"]
