"""The last lines of a process: they are passed on, kept, and there when it is dead."""

import os
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection

import pytest

from tuner.search.work.last_lines import LastLines, write_to


def ended(work: Callable[[Connection], None]) -> list[str]:
    """The last lines of a process that does this."""
    written = LastLines()
    process = get_context("spawn").Process(target=work, args=(written.theirs,))
    process.start()
    written.follow()
    process.join()
    return written.after_the_end()


def many(theirs: Connection) -> None:
    write_to(theirs)
    os.write(2, b"".join(b"line %d\n" % number for number in range(5000)))
    os.write(2, b"\xff no end " + b"x" * 100_000)
    os._exit(3)


def crash(theirs: Connection) -> None:
    write_to(theirs)
    fall()


def fall() -> None:
    os.kill(os.getpid(), 11)


@pytest.mark.slow
def test_the_last_lines_are_kept_and_all_are_passed_on(capfd: pytest.CaptureFixture[str]):
    lines = ended(many)
    assert lines[:-1] == [f"line {number}" for number in range(4981, 5000)]
    assert len(lines[-1]) == 500
    passed_on = capfd.readouterr().err.splitlines()
    assert passed_on[:5000] == [f"line {number}" for number in range(5000)]
    assert len(passed_on[-1]) > 100_000


@pytest.mark.slow
def test_where_a_process_crashed_is_among_them():
    lines = ended(crash)
    assert any("Segmentation fault" in line for line in lines)
    assert any("in fall" in line for line in lines)
