"""Progress of a running comparison: bars on a terminal, a line now and then elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tuner.compare.words import written
from tuner.search.watch.progress import ArmProgress
from tuner.search.watch.progress import Progress as State
from tuner.signals import at_once
from tuner.wording import count
from tuner.workload import ACCURACY

_LINES = 10
_SECONDS = 300.0
"""Where there is no terminal, a line at every tenth of the run, and after so long a silence."""


class Display:
    """Shows the states that ``launch.run`` reports; use it as a context manager.

    Args:
        console: Where to show them.
        unit: What scores are called.
    """

    def __init__(self, console: Console, unit: str = ACCURACY) -> None:
        self._console = console
        self._unit = unit
        self._tasks: dict[str, TaskID] = {}
        self._lines = 0
        self._last_line = 0.0
        self._before: State | None = None
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[best]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def __call__(self, state: State) -> None:
        """Show a state; Ctrl-C waits for that, or the console would show the line again."""
        with at_once():
            self._show(state)

    def _show(self, state: State) -> None:
        if self._before is not None:
            self._say_looks(self._before, state)
        elif not self._console.is_terminal:  # where bars stand from the first moment on
            done, total = _sum(state)
            self._console.print(f"{done:,} of {count(total, 'trial')} done; workers are starting")
        self._before = state
        if self._console.is_terminal:
            for arm in state.arms:
                self._move(arm.name, arm.done + arm.retrained, arm.total + arm.to_retrain, arm)
            self._move("all", *_sum(state), None)
        else:
            self._print(state)

    def _say_looks(self, before: State, now: State) -> None:
        """Say what the looks between these states led to, if the searches may end there."""
        if before.looks is not None and now.looks is not None and now.looks.stops:
            for outcome in now.looks.outcomes[before.looks.taken :]:
                self._console.print(outcome, soft_wrap=True, highlight=False)

    def _move(self, name: str, done: int, total: int, arm: ArmProgress | None) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, best="")
        self._bars.update(
            self._tasks[name],
            completed=done,
            total=total,
            best="" if arm is None else _best(arm, self._unit),
        )

    def _print(self, state: State) -> None:
        done, total = _sum(state)
        line = done * _LINES // max(total, 1)
        if line > self._lines or state.seconds - self._last_line >= _SECONDS:
            self._lines, self._last_line = line, state.seconds
            arms = ", ".join(
                f"{arm.name} {arm.done}/{arm.total}{_best(arm, self._unit)}" for arm in state.arms
            )
            self._console.print(
                f"{done}/{total} trials after {state.seconds:.0f} s: {arms}", soft_wrap=True
            )


def _sum(state: State) -> tuple[int, int]:
    """Trials finished and trials in all, those trained afresh included."""
    return (
        sum(arm.done + arm.retrained for arm in state.arms),
        sum(arm.total + arm.to_retrain for arm in state.arms),
    )


def _best(arm: ArmProgress, unit: str) -> str:
    failed = f", {arm.failed} failed" if arm.failed else ""
    return ("" if arm.best is None else f" best {written(arm.best, unit)}") + failed
