"""A whole run of ``tuner bench``: one contest after the other, whatever becomes of each."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tuner.bench.contests import Contest, Setup
from tuner.bench.match import Match, Round, Row
from tuner.bench.measured_on import CLEAN, Machine, load_of_others, this_machine
from tuner.bench.play import started
from tuner.errors import DataMissing, TunerError
from tuner.machine import cores
from tuner.search.work.surroundings import environment


@dataclass(frozen=True)
class BenchProgress:
    """Where a run is.

    Args:
        contest: The contest in play.
        workload: What is done in it.
        round: Rounds played of this match.
        rounds: Rounds it has.
        seconds_left: About how long the rest of the run takes; None while processes start.
    """

    contest: str
    workload: str
    round: int
    rounds: int
    seconds_left: float | None


@dataclass
class BenchResults:
    """What a run has measured so far.

    Args:
        quick: Whether with small budgets.
        rounds: Rounds asked for.
        machine: What it was measured on.
        rows: The results.
        skipped: Contest -> why it was left out.
        failed: Contest -> what went wrong.
        stopped: Whether Ctrl-C ended the run.
    """

    quick: bool
    rounds: int
    machine: Machine | None = None
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: bool = False

    def to_json(self) -> dict[str, object]:
        """The results as a JSON object."""
        return {"schema_version": 1, **asdict(self)}


def run_contests(
    contests: Mapping[str, Contest],
    *,
    rounds: int,
    quick: bool,
    on_step: Callable[[BenchProgress], None],
) -> BenchResults:
    """Hold the contests; what was measured before a Ctrl-C counts.

    Args:
        contests: Name -> contest.
        rounds: How often the sides take turns.
        quick: Whether with small budgets.
        on_step: Called with where the run is, before each match and after each round.
    """
    results = BenchResults(quick, rounds)
    with tempfile.TemporaryDirectory(prefix="tuner-bench-") as scratch:
        folder = Path(scratch)
        setup = Setup(folder, cores(), quick)
        try:
            results.machine = this_machine(folder / "cache")
            variables = {"TUNER_CACHE_DIR": str(folder / "cache")}
            if results.machine.kernels_seconds is None:
                variables["TUNER_KERNELS"] = "off"  # it was said why, once
            with environment(variables):
                left = sum(contest.seconds(setup, rounds) for contest in contests.values())
                for name, contest in contests.items():
                    left -= contest.seconds(setup, rounds)
                    _hold(name, contest.matches(setup), results, left, on_step)
        except KeyboardInterrupt:
            results.stopped = True
    return results


def _hold(
    name: str,
    matches: Iterator[Match],
    results: BenchResults,
    seconds_after: float,
    on_step: Callable[[BenchProgress], None],
) -> None:
    """Play a contest's matches and add their rows; note why it could not be held."""
    try:
        for match in matches:
            rounds = max(results.rounds, match.least_rounds)
            on_step(BenchProgress(name, match.workload, 0, rounds, None))
            played: list[Round] = []
            loads: list[float | None] = []
            try:
                with started(match) as play:
                    began = time.monotonic()
                    for number in range(rounds):
                        load = load_of_others()
                        played.append(play(number))
                        loads.append(load())
                        mean = (time.monotonic() - began) / len(played)
                        left = seconds_after + (rounds - len(played)) * mean
                        on_step(BenchProgress(name, match.workload, len(played), rounds, left))
            finally:
                rows = match.judge(match, played) if played else []
                results.rows += [_with_load(row, loads) for row in rows]
    except DataMissing as error:
        results.skipped[name] = str(error)
    except TunerError as error:
        results.failed[name] = str(error)


def _with_load(row: Row, loads: Sequence[float | None]) -> Row:
    """The row with what others did meanwhile."""
    known = [load for load in loads if load is not None]
    if not known:
        return row
    return replace(row, load=max(known), clean=max(known) <= CLEAN)
