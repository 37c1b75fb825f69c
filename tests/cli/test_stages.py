"""What the command says while something takes its time."""

import io

from rich.console import Console

from tuner.cli.stages import Stages


def test_on_a_terminal_a_stage_is_shown_and_leaves_nothing():
    screen = io.StringIO()
    with Stages(Console(file=screen, force_terminal=True, width=60)) as stage:
        stage("the [red]first[/]")
        stage("the [red]second[/]")
    shown = screen.getvalue()
    assert "the [red]second[/]" in shown
    assert shown.endswith("\x1b[?25h\r\x1b[1A\x1b[2K"), "the line is erased, the cursor is back"


def test_elsewhere_each_stage_is_a_line_and_none_is_nothing():
    said = io.StringIO()
    with Stages(Console(file=said, width=20)) as stage:
        stage("a stage of more than twenty letters, [red]first[/]")
        stage("second")
    assert said.getvalue() == "a stage of more than twenty letters, [red]first[/]\nsecond\n\n"
    with Stages(Console(file=said)):
        pass
    assert said.getvalue().count("\n") == 3
