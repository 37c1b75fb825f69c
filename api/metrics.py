"""How often things happened to trials since this server began: counters, for Prometheus."""

import threading
from collections import Counter
from collections.abc import Mapping

from tuner.search.database.events import events_after, newest
from tuner.search.database.store import Store

_READ_AT_ONCE = 5000


class Tally:
    """Counts what the database's events tell, from now on.

    The tables forget: a comparison may be deleted, a worker's row ages away. So these counts begin
    at zero with the server, as a counter may, and only grow; every server of a database counts the
    same.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last = newest(store.engine)
        self._counts: Counter[str] = Counter()
        self._one_at_a_time = threading.Lock()

    def read(self) -> Mapping[str, int]:
        """Kind of event -> how many trials it happened to so far."""
        with self._one_at_a_time:
            engine = self._store.engine
            while happened := events_after(engine, self._last, limit=_READ_AT_ONCE):
                self._last = happened[-1].id
                for event in happened:
                    self._counts[event.kind] += int(event.data.get("n", 0))
            return dict(self._counts)
