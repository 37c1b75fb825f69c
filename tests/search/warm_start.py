"""How many trials a search saves that begins from an earlier one, also where it loses by it.

    python -m tests.search.warm_start --workload digits --repeats 10 --trials 15

Earlier searches are run, of random trials: some of the workload that is searched then, in several
spaces; some of another one, or in ranges without the good settings, which may mislead. TPE then
searches the filter space from nothing, and from what ``tuner transfer`` makes of each of them;
each such search is repeated. What is printed is the trials until each target, at most all of a
search, by how many fewer than from nothing, and how much better the best trials are.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import optuna

from tuner.compare.statistics.endpoints import mean_difference
from tuner.compare.statistics.estimate import Estimate, Floats
from tuner.compare.statistics.selected import selected_difference
from tuner.compare.statistics.targets import waits
from tuner.search.database.store import open_store
from tuner.search.declared.carried import Carried
from tuner.search.declared.spaces import Range, Space, load_space
from tuner.search.declared.spec import ComparisonSpec, load
from tuner.search.foreign.record import record_of
from tuner.search.foreign.transfer.carrying import transfer
from tuner.search.results.arms import arms
from tuner.search.work.launch import run
from tuner.translation import EXACT, ROUGH
from tuner.workload import AnyWorkload, Workload

FILTER = load_space("filter")
FIRST = 5
"""Trials of a search that are its beginning."""


@dataclass(frozen=True)
class Benchmark:
    """What is searched, and what counts as found.

    Args:
        workload: What is trained.
        targets: Validation accuracies, easy and hard; fixed by random trials of another seed.
        other: Another workload, with which it shares neither data nor number of steps.
    """

    workload: Workload
    targets: tuple[float, ...]
    other: Workload


@dataclass(frozen=True)
class Source:
    """An earlier search, of random trials.

    Args:
        space: What it searched.
        least: Least weight of the trials that are carried.
        workload: What it trained, where that is not what is searched then.
    """

    space: Space
    least: float = EXACT
    workload: Callable[[Benchmark], Workload] = lambda benchmark: benchmark.workload


def of_gamma(low: float, high: float) -> Space:
    """The magnitude space where it is exactly the filter space, with another range of gamma."""
    space = load_space("magnitude_exact")
    momentum = Range(low=low, high=high, log=True, complement=True)
    return space.model_copy(update={"parameters": space.parameters | {"momentum": momentum}})


DIGITS = load("digits").workload
FASHION = Workload(
    dataset="fashion_mnist",
    widths=(256, 256),
    binary_ends=True,
    epochs=3,
    batch_size=128,
    n_train=10_000,
)

BENCHMARKS: Mapping[str, Benchmark] = {
    "digits": Benchmark(DIGITS, targets=(0.9755, 0.979), other=FASHION),
    "fashion": Benchmark(FASHION, targets=(0.833, 0.84), other=DIGITS),
}

SOURCES: Mapping[str, Source] = {
    "exact": Source(load_space("magnitude_exact")),
    "narrow": Source(load_space("magnitude_narrow"), ROUGH),
    "wide": Source(load_space("magnitude"), ROUGH),
    "other_data": Source(load_space("magnitude_exact"), workload=lambda of: of.other),
    "one_epoch": Source(
        load_space("magnitude_exact"), workload=lambda of: replace(of.workload, epochs=1)
    ),
    "aside": Source(of_gamma(1e-3, 1e-2)),
}
"""What is begun from: the last three may mislead."""


@dataclass(frozen=True)
class Sizes:
    """How much is run: trials of an old search and of a new one, and new ones of each kind."""

    old: int
    trials: int
    repeats: int


@dataclass(frozen=True)
class Found:
    """What searches of one kind found, each of which began alike.

    Args:
        carried: What they began from; ``None`` if from nothing.
        searches: Validation accuracies of each, in the order they ran.
    """

    carried: Carried | None
    searches: Sequence[Floats]

    def best(self, n: int) -> Floats:
        """Of the first n trials of each search."""
        return np.array([scores[:n].max() for scores in self.searches])


def old_search(name: str, benchmark: Benchmark, source: str, n_trials: int) -> ComparisonSpec:
    """The random search that others begin from."""
    workload = SOURCES[source].workload(benchmark)
    arm = {"name": source, "space": SOURCES[source].space}
    return _comparison(f"{name}_{source}", workload, arm, n_trials)


def new_searches(
    name: str, benchmark: Benchmark, sizes: Sizes, carried: Mapping[str, Carried]
) -> list[ComparisonSpec]:
    """The searches from nothing, and those from what is carried, by its source."""
    begun: dict[str, Carried | None] = {"nothing": None, **carried}
    searched = {"space": FILTER, "sampler": "tpe"}
    return [
        _comparison(
            f"{name}_from_{each}",
            benchmark.workload,
            searched | {"name": f"from_{each}", "carried": of},
            sizes.trials,
            sizes.repeats,
        )
        for each, of in begun.items()
    ]


def _comparison(
    name: str, workload: AnyWorkload, arm: Mapping[str, object], n_trials: int, repeats: int = 1
) -> ComparisonSpec:
    return ComparisonSpec.model_validate(
        {
            "name": name,
            "workload": workload,
            "arms": [arm],
            "n_trials": n_trials,
            "repeats": repeats,
            "retrain_seeds": 0,
        }
    )


def carried_of(spec: ComparisonSpec, database: str, least: float) -> Carried:
    """What is carried of an old search."""
    (searched,) = spec.studies()
    study = optuna.load_study(study_name=searched.study_name, storage=database)
    return transfer(record_of(study), FILTER, source=spec.name, least=least).carried


def found(specs: Sequence[ComparisonSpec], database: str) -> list[Found]:
    """What the new searches found, those from nothing first."""
    with closing(open_store(database)) as store:
        return [
            Found(spec.arms[0].carried, arms(store, spec.name)[0][0].searches) for spec in specs
        ]


def report(benchmark: Benchmark, sizes: Sizes, begun: Mapping[str, Found]) -> None:
    """Trials to each target, how many fewer than from nothing, and what the best trials reach."""
    cold = begun["nothing"]
    for target in benchmark.targets:
        _say(f"\ntrials to {100 * target:g}%, at most {sizes.trials}, {sizes.repeats} searches:\n")
        _row("begun from", "carried, exactly", "reach it", "mean trials", "fewer, mean", "median")
        _row(*["---"] * 6)
        alone = waits(cold.searches, target).trials
        for name, of in begun.items():
            took = waits(of.searches, target)
            saved = ("", "")
            if of is not cold:
                mean, _ = mean_difference(alone, took.trials, (1.0, float(sizes.trials)))
                median = selected_difference(alone, took.trials).difference
                saved = (_shown(mean, ".1f"), _shown(median, ".1f"))
            reached, mean_trials = f"{int(took.reached.sum())}", f"{took.trials.mean():.1f}"
            _row(name, _carried(of), reached, mean_trials, *saved)
    _say("\nbest on validation, median in %, and points more than from nothing:\n")
    _row("begun from", f"of {FIRST} trials", "more", f"of {sizes.trials} trials", "more")
    _row(*["---"] * 5)
    for name, of in begun.items():
        cells = []
        for n in (FIRST, sizes.trials):
            better = selected_difference(100 * of.best(n), 100 * cold.best(n)).difference
            more = "" if of is cold else _shown(better, ".2f")
            cells += [f"{100 * np.median(of.best(n)):.2f}", more]
        _row(name, *cells)


def _carried(of: Found) -> str:
    return "" if of.carried is None else f"{len(of.carried.trials)}, {of.carried.exact}"


def _shown(estimate: Estimate, digits: str) -> str:
    ends = estimate.interval
    between = f" ({ends[0]:{digits}} to {ends[1]:{digits}})" if ends else ""
    return f"{estimate.value:{digits}}{between}"


def _row(*cells: str) -> None:
    _say(f"| {' | '.join(cells)} |")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the sizes, run what is missing, print."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--workload", choices=BENCHMARKS, default="digits")
    given.add_argument("--old", type=int, default=100, help="trials of each old search")
    given.add_argument("--trials", type=int, default=15, help="trials of each new search")
    given.add_argument("--repeats", type=int, default=10, help="searches of each kind")
    given.add_argument("--sources", nargs="+", choices=SOURCES, default=list(SOURCES))
    given.add_argument("--workers", type=int)
    given.add_argument("--database", help="to go on with what is there; else it is thrown away")
    options = given.parse_args()
    name, benchmark = options.workload, BENCHMARKS[options.workload]
    sizes = Sizes(options.old, options.trials, options.repeats)
    with TemporaryDirectory() as folder:
        database = options.database or f"sqlite:///{Path(folder) / 'warm.db'}"
        carried = {}
        for source in options.sources:
            spec = old_search(name, benchmark, source, sizes.old)
            run(spec, database=database, workers=options.workers)
            carried[source] = carried_of(spec, database, SOURCES[source].least)
        specs = new_searches(name, benchmark, sizes, carried)
        for spec in specs:
            run(spec, database=database, workers=options.workers)
        begun = dict(zip(["nothing", *carried], found(specs, database), strict=True))
        report(benchmark, sizes, begun)


if __name__ == "__main__":
    main()
