"""How many trials a search saves that begins from an earlier one, also where it loses by it.

    python -m tests.search.warm_start --repeats 10 --trials 15

On 8x8 digits, three old searches are run: random ones of the magnitude space, in its wide and its
narrow ranges and where it is exactly the filter space. TPE then searches the filter space from
nothing, and from what ``tuner transfer`` makes of each old search; each such search is repeated.
What is printed is the trials until the target, at most all of a search, and by how many fewer than
from nothing.
"""

import argparse
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import optuna

from tuner.compare.statistics.endpoints import mean_difference
from tuner.compare.statistics.selected import selected_difference
from tuner.compare.statistics.targets import waits
from tuner.search.database.store import open_store
from tuner.search.declared.spaces import load_space
from tuner.search.declared.spec import ComparisonSpec, load
from tuner.search.foreign.record import record_of
from tuner.search.foreign.transfer.carrying import transfer
from tuner.search.results.arms import arms
from tuner.search.work.launch import run

WORKLOAD = load("digits").workload
FILTER = load_space("filter")
SOURCES = {
    "from_exact": ("magnitude_exact", 1.0),
    "from_wide": ("magnitude", 0.25),
    "from_narrow": ("magnitude_narrow", 0.25),
}
"""Arm -> the space of the search that it begins from, and the least weight carried."""


@dataclass(frozen=True)
class Sizes:
    """How much is run.

    Args:
        old: Trials of each old search.
        trials: Of each new one.
        repeats: Searches of each kind.
        sources: Of ``SOURCES``, those that are begun from.
    """

    old: int
    trials: int
    repeats: int
    sources: tuple[str, ...] = tuple(SOURCES)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def old_searches(sizes: Sizes) -> ComparisonSpec:
    """The random searches that are carried over."""
    spaces = [SOURCES[name][0] for name in sizes.sources]
    return ComparisonSpec.model_validate(
        {
            "name": "old",
            "workload": WORKLOAD,
            "arms": [{"name": space, "space": space} for space in spaces],
            "n_trials": sizes.old,
            "retrain_seeds": 0,
        }
    )


def new_searches(sizes: Sizes, database: str, target: float) -> ComparisonSpec:
    """The searches from nothing and from each old one."""
    cold: dict[str, Any] = {"name": "from_nothing", "space": "filter", "sampler": "tpe"}
    made = [cold]
    for name in sizes.sources:
        space, least = SOURCES[name]
        study = optuna.load_study(study_name=f"old/{space}", storage=database)
        found = transfer(record_of(study), FILTER, source=f"old/{space}", least=least)
        exact = sum(trial.weight == 1 for trial in found.trials)
        say(f"{name}: {len(found.trials)} of {sizes.old} trials carried, {exact} exactly")
        made.append(cold | {"name": name, "carried": found.carried})
    return ComparisonSpec.model_validate(
        {
            "name": "new",
            "workload": WORKLOAD,
            "arms": made,
            "n_trials": sizes.trials,
            "repeats": sizes.repeats,
            "retrain_seeds": 0,
            "verdict": {"target": target},
        }
    )


def report(database: str, sizes: Sizes, target: float) -> None:
    """Trials to the target of each kind of search, and how many fewer than from nothing."""
    with closing(open_store(database)) as store:
        found, _ = arms(store, "new")
    took = {arm.name: waits(arm.searches, target) for arm in found}
    cold = took["from_nothing"].trials
    say(f"trials to {100 * target:g}%, at most {sizes.trials}, over {sizes.repeats} searches")
    for arm in found:
        trials, reached = took[arm.name].trials, took[arm.name].reached
        first = np.mean([scores[:5].max() for scores in arm.searches])
        line = f"{arm.name:13} mean {trials.mean():5.1f}, {int(reached.sum())} reach it, best of "
        line += f"the first 5 trials {100 * first:.2f}%"
        if arm.name != "from_nothing":
            saved, p = mean_difference(cold, trials, (1.0, float(sizes.trials)))
            median = selected_difference(cold, trials).difference
            line += (
                f"; saved: mean {_shown(saved)} (Welch p {p or 1:.3g}), median {_shown(median)}"
            )
        say(line)


def _shown(estimate: Any) -> str:
    ends = estimate.interval
    return f"{estimate.value:+.1f}" + (f" ({ends[0]:+.1f} to {ends[1]:+.1f})" if ends else "")


def main() -> None:
    """Read the sizes, run what is missing, print."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--old", type=int, default=100, help="trials of each old search")
    given.add_argument("--trials", type=int, default=15, help="trials of each new search")
    given.add_argument("--repeats", type=int, default=10, help="searches of each kind")
    given.add_argument("--sources", nargs="+", choices=SOURCES, default=list(SOURCES))
    given.add_argument("--target", type=float, default=0.9755)
    given.add_argument("--workers", type=int)
    given.add_argument("--database", help="to go on with what is there; else it is thrown away")
    options = given.parse_args()
    sizes = Sizes(options.old, options.trials, options.repeats, tuple(options.sources))
    with TemporaryDirectory() as folder:
        database = options.database or f"sqlite:///{Path(folder) / 'warm.db'}"
        run(old_searches(sizes), database=database, workers=options.workers)
        new = new_searches(sizes, database, options.target)
        run(new, database=database, workers=options.workers)
        report(database, sizes, options.target)


if __name__ == "__main__":
    main()
