"""What ``tuner bench fleet`` prints: a line a fleet, then how long a sampler thinks."""

import os
from collections.abc import Sequence

from rich.console import Console

from tuner.bench.contests import POSTGRES
from tuner.bench.fleet.lengths import lengths
from tuner.bench.fleet.run import FleetResults, Row, run_fleets
from tuner.errors import InvalidInput
from tuner.wording import count

SIZES, QUICK_SIZES = (1, 8, 32, 128), (1, 8)
FINISHED, QUICK_FINISHED = (100, 1_000, 10_000), (100,)
TRAINING = "lognormal:2,0.5"
SECONDS, QUICK_SECONDS = 30.0, 5.0

_COLUMNS = (
    "workers  wanted/s  finished/s  claims/s  outside  connections  database cores  worker cores"
    "  others  reads  p95 ms"
)
_WIDTHS = tuple(len(name) for name in _COLUMNS.split("  "))
_LEGEND = (
    "wanted: if training alone took time. outside: share of the workers' time that is not "
    "training. cores: how many processors were kept busy. others: share of the processors that "
    "neither workers nor this command took; the database's is in it. reads: answers of tuner "
    "serve meanwhile, and how long the slowest twentieth took."
)


def bench_fleets(
    sizes: Sequence[int],
    training: str | None,
    *,
    batch: int,
    reads: bool,
    quick: bool,
    console: Console,
) -> FleetResults:
    """Measure fleets of these sizes, or of the usual ones, and print a line each.

    Args:
        sizes: Workers of each fleet; none for the usual ones.
        training: How long training takes, as ``lengths`` reads it; None for the usual.
        batch: How many trials a worker trains together.
        reads: Whether a server is asked meanwhile.
        quick: Whether a short look is enough.
        console: Where to print.

    Raises:
        InvalidInput: If there is no database to measure, or the distribution is none.
    """
    database = os.environ.get(POSTGRES, "")
    if not database:
        raise InvalidInput(
            f"tuner bench fleet: set {POSTGRES} to the address of an empty PostgreSQL database, "
            "or of a pooler before one"
        )
    if any(size < 1 for size in sizes):
        raise InvalidInput(f"workers: must be at least 1, got {min(sizes)}")
    chosen = lengths(TRAINING if training is None else training)
    console.print(
        f"training takes {chosen}, {chosen.mean:.3g} s in the mean, "
        f"{count(batch, 'trial')} at a time\n{_COLUMNS}",
        highlight=False,
        soft_wrap=True,
    )
    results = run_fleets(
        database,
        sizes or (QUICK_SIZES if quick else SIZES),
        chosen,
        batch=batch,
        reads=reads,
        seconds=QUICK_SECONDS if quick else SECONDS,
        finished=QUICK_FINISHED if quick else FINISHED,
        on_row=lambda row: console.print(_line(row), highlight=False, soft_wrap=True),
    )
    console.print(f"\n{_LEGEND}\n{results.processor}, {results.cores} cores", soft_wrap=True)
    for ask in results.asks:
        console.print(
            f"{ask.sampler} thinks {ask.seconds * 1000:.3g} ms about a trial after "
            f"{ask.finished:,} finished ones",
            highlight=False,
        )
    return results


def _line(row: Row) -> str:
    cells = (
        f"{row.workers}",
        f"{row.wanted:.3g}",
        f"{row.finished:.3g}",
        f"{row.claimed:.3g}",
        f"{row.outside:.1%}",
        f"{row.connections}",
        "elsewhere" if row.database_cores is None else f"{row.database_cores:.2f}",
        f"{row.worker_cores:.2f}",
        "" if row.load is None else f"{row.load:.0%}",
        f"{row.reads}" if row.reads else "",
        "" if row.reads_p95_ms is None else f"{row.reads_p95_ms:.0f}",
    )
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
