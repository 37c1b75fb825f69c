"""What `tuner run` says while it runs."""

import signal
from io import StringIO

import pytest
from rich.console import Console

from tuner.cli.progress import Display
from tuner.search.watch.looks_progress import LooksProgress
from tuner.search.watch.progress import ArmProgress, Progress

GOES_ON = "look 1 of 2, after 10 of 20 searches: the verdict is not settled, so the searches go on"
ENDS = (
    "look 2 of 2, after 15 of 20 searches: the verdict is settled, so the searches end early, as "
    "declared"
)


def state(taken: int, *, settled: bool = False, stops: bool = True) -> Progress:
    """A comparison that has so many of its two looks behind it."""
    arm = ArmProgress(
        name="new",
        done=20,
        total=30,
        running=0,
        failed=0,
        cancelled=0,
        best=0.9,
        retrained=0,
        to_retrain=0,
        queued=10,
        retraining=0,
        waiting=10,
        afresh_cancelled=0,
    )
    looks = LooksProgress((10, 15), 20, ended=10, taken=taken, stops=stops, settled=settled)
    return Progress((arm,), looks=looks)


def said(*states: Progress) -> list[str]:
    file = StringIO()
    with Display(Console(file=file)) as display:
        for each in states:
            display(each)
    return [line for line in file.getvalue().splitlines() if "look" in line]


def test_each_look_is_said_once_by_its_number_with_what_it_led_to():
    assert said(state(0), state(0)) == []
    assert said(state(0), state(1), state(1)) == [GOES_ON]
    assert said(state(0), state(1), state(2, settled=True)) == [GOES_ON, ENDS]
    assert said(state(0), state(2, settled=True)) == [GOES_ON, ENDS]


def test_looks_of_an_earlier_run_are_not_said_again():
    assert said(state(1), state(1), state(2, settled=True)) == [ENDS]


def test_without_a_stop_no_look_is_said():
    assert said(state(0, stops=False), state(1, stops=False)) == []


class Terminal(StringIO):
    """Somebody at it stops the run as soon as a look is shown."""

    stopped = False

    def write(self, text: str) -> int:
        written = super().write(text)
        if "look" in text and not self.stopped:
            self.stopped = True
            signal.raise_signal(signal.SIGINT)
        return written


def test_a_look_is_shown_once_if_ctrl_c_comes_right_after_it():
    terminal = Terminal()
    console = Console(file=terminal)
    with pytest.raises(KeyboardInterrupt), Display(console) as display:
        display(state(0))
        display(state(1))
    console.print("stopped")
    shown = terminal.getvalue()
    assert shown.count("look 1 of 2") == 1 and shown.endswith("stopped\n")
