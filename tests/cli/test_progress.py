"""What `tuner run` says while it runs."""

from io import StringIO

from rich.console import Console

from tuner.cli.progress import Display
from tuner.search.watch.progress import ArmProgress, Progress


def state(done: int, total: int, *, undecided: bool) -> Progress:
    arm = ArmProgress(
        name="new",
        done=done,
        total=total,
        running=0,
        failed=0,
        cancelled=0,
        best=0.9,
        retrained=0,
        to_retrain=0,
        queued=total - done,
        retraining=0,
    )
    return Progress((arm,), undecided=undecided)


def said(*states: Progress) -> list[str]:
    file = StringIO()
    with Display(Console(file=file)) as display:
        for each in states:
            display(each)
    return [line for line in file.getvalue().splitlines() if "look" in line]


def test_each_look_is_said_with_what_it_led_to():
    goes_on = "this look does not settle the verdict: the searches go on"
    first, second = state(20, 20, undecided=True), state(20, 30, undecided=True)
    assert said(first, first) == []
    assert said(first, second, state(30, 40, undecided=False)) == [goes_on, goes_on]
    assert said(first, second, state(30, 30, undecided=False)) == [
        goes_on,
        "this look settles the verdict: the searches end, as declared",
    ]


def test_without_a_stop_no_look_is_said():
    assert said(state(20, 20, undecided=False), state(20, 30, undecided=False)) == []
