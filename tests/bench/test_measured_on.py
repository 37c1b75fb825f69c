"""What others do while something is measured."""

import os
from pathlib import Path

import pytest

from tuner.bench import measured_on
from tuner.bench.match import Row
from tuner.bench.measured_on import CLEAN, load_of_others
from tuner.bench.run import _with_load

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Has the system say how many seconds the processors, and processes, have worked."""
    monkeypatch.setattr(measured_on, "_PROC", tmp_path)

    def write(*, busy: float, idle: float, processes: dict[int, tuple[int, float]]) -> None:
        parts = [busy / 2, 0, busy / 4, idle / 2, idle / 2, 0, 0, busy / 4, 0, 0]
        line = " ".join(str(round(seconds * TICKS)) for seconds in parts)
        (tmp_path / "stat").write_text(f"cpu  {line}\ncpu0 1 1 1\n")
        for pid, (parent, seconds) in processes.items():
            (tmp_path / str(pid)).mkdir(exist_ok=True)
            rest = [parent, *[0] * 9, round(seconds * TICKS), 0]
            words = " ".join(map(str, rest))
            (tmp_path / str(pid) / "stat").write_text(f"{pid} (a) b) S {words}\n")

    return write


def test_others_are_all_but_this_process_and_those_it_started(say):
    me, child, grandchild, other = os.getpid(), 10**6, 10**6 + 1, 10**6 + 2
    say(busy=100, idle=100, processes={me: (1, 10), child: (me, 0), other: (1, 50)})
    load = load_of_others()
    later = {me: (1, 12), child: (me, 3), grandchild: (child, 1), other: (1, 52)}
    say(busy=108, idle=112, processes=later)
    assert load() == pytest.approx((8 - 2 - 3 - 1) / 20)


def test_where_the_system_does_not_say_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(measured_on, "_PROC", tmp_path)
    assert load_of_others()() is None


def test_a_result_is_clean_if_others_were_quiet_in_every_round():
    row = Row(
        contest="c",
        workload="w",
        variant="v",
        baseline=None,
        measure="m",
        unit="s",
        value=1.0,
        low=None,
        high=None,
        spread="",
    )
    assert _with_load(row, [None, CLEAN, 0.0]).clean is True
    noisy = _with_load(row, [0.0, CLEAN + 0.01])
    assert (noisy.clean, noisy.load) == (False, CLEAN + 0.01)
    assert _with_load(row, [None]).clean is None
