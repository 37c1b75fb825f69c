"""How often somebody asked in the last minute."""

import time
from collections import deque
from threading import Lock

_SECONDS = 60.0


class Rate:
    """Counts what each one asks within any minute, in the memory of this process."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], deque[float]] = {}
        self._lock = Lock()
        self._swept = time.monotonic()

    def allows(self, kind: str, who: str, most: int) -> bool:
        """Whether they asked less often than this; if so, they have now asked once more."""
        now = time.monotonic()
        with self._lock:
            if now > self._swept + _SECONDS:
                self._swept = now
                self._asked = {
                    each: times
                    for each, times in self._asked.items()
                    if times and times[-1] > now - _SECONDS
                }
            times = self._asked.setdefault((kind, who), deque())
            while times and times[0] <= now - _SECONDS:
                times.popleft()
            if len(times) >= most:
                return False
            times.append(now)
            return True
