"""How long things last in a churn: a fifteenth of what they do elsewhere."""

from tuner.search.database.storage import limits
from tuner.search.queue.queue import Queue

LEASE_SECONDS = 4.0


def shorten() -> None:
    """In this process, from now on: whoever is stopped for seconds loses what it holds."""
    defaults = Queue.__init__.__kwdefaults__
    assert defaults is not None
    defaults["lease_seconds"] = LEASE_SECONDS
    limits.FROZEN_SECONDS = 3
    limits.LIMITS["lock_timeout"] = "1s"
