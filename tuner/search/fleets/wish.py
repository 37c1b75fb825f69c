"""How many workers a fleet is to have."""

from dataclasses import dataclass

from tuner.errors import InvalidInput

IDLE_SECONDS = 30.0
"""So long workers stay whom the queue's length does not ask for any more."""

MOST_WORKERS = 100_000


@dataclass(frozen=True)
class Wish:
    """How many workers there are to be; between ``least`` and ``most`` as the queue is long.

    Args:
        workers: How many to begin with.
        least: How few at least.
        most: How many at most.
        idle_seconds: So long more of them stay than the queue's length asks for.

    Raises:
        InvalidInput: If they are not in this order.
    """

    workers: int
    least: int
    most: int
    idle_seconds: float = IDLE_SECONDS

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.workers <= self.most <= MOST_WORKERS or self.most < 1:
            raise InvalidInput(
                "workers: 0 <= --min <= --workers <= --max and 1 <= --max <= "
                f"{MOST_WORKERS} must hold, got {self.least}, {self.workers} and {self.most}"
            )
        if not self.idle_seconds >= 0:
            raise InvalidInput(f"idle seconds must be at least 0, got {self.idle_seconds}")

    @property
    def follows(self) -> bool:
        """Whether the queue's length decides how many there are."""
        return self.least < self.most

    def nearest(self, workers: int) -> int:
        """The number of workers between the fewest and the most that is nearest to another."""
        return min(max(workers, self.least), self.most)
