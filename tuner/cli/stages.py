"""What is being done, where it takes a while: a line on a terminal, a line each elsewhere."""

from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text


class Stages:
    """Says which stage has begun; use it as a context manager, and print nothing meanwhile.

    On a terminal the stage is shown until the next begins, and nothing of it stays.

    Args:
        console: Where to show them.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._stage: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._status is not None:
            self._status.stop()
        elif self._stage is not None:
            self._console.print()

    def __call__(self, stage: str) -> None:
        """Say that a stage begins, unless it was said last."""
        if stage == self._stage:
            return
        self._stage = stage
        if not self._console.is_terminal:
            self._console.print(stage, highlight=False, soft_wrap=True, markup=False)
        elif self._status is None:
            self._status = self._console.status(Text(stage))
            self._status.start()
        else:
            self._status.update(Text(stage))
