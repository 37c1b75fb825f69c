"""How long a whole report takes, and how much memory: `tuner compare` of trials made by formula.

    PYTHONPATH=. python tests/search/timed_report.py 20000

Three arms as in studies/digits.toml, random search, that many trials in all; what their searches
select and the incumbents are trained afresh, with hits on 449 test images.
"""

import math
import os
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
from comparisons import enqueue, enqueue_afresh, work_here
from light_trainer import LightTrainer, Point, Result, Trials

from tuner.optim.equivalence import describe
from tuner.search.database.store import open_store
from tuner.search.declared.spec import ComparisonSpec
from tuner.workload import Workload

ROOT = Path(__file__).parents[2]
IMAGES = 449


class FormulaTrainer(LightTrainer):
    """Draws accuracies and hits around what the settings are worth; some trials diverge."""

    def batch_size(self, _workload: object) -> int:
        return 200

    def train(
        self,
        workload: Workload,
        _rule: str,
        trials: Trials,
        _on_epoch: Callable,
        *,
        test: bool,
        **_options: object,
    ) -> list[Result]:
        return [trained(settings, seed, workload.epochs, test) for settings, seed in trials]

    def describe(
        self, _workload: object, rule: str, settings: Mapping[str, object], steps: int
    ) -> dict[str, object]:
        return asdict(describe(rule, settings, steps))


def trained(settings: Mapping[str, object], seed: int, epochs: int, test: bool) -> Result:
    rng = np.random.default_rng(seed)
    decades = sum(abs(math.log10(x + 1e-9) + 3) for x in settings.values() if type(x) is float)
    diverged = bool(rng.random() < 0.03)
    rate = 0.1 if diverged else float(np.clip(0.985 - 0.012 * decades, 0.1, 0.995))
    val = float(rng.binomial(IMAGES, rate)) / IMAGES
    result = Result(val_accuracy=val, diverged=diverged, seconds=0.2, steps=21 * epochs)
    result.curve = [
        Point(epoch, 1 / epoch, val, 0.01 / epoch, 0.2 / epochs) for epoch in range(1, epochs + 1)
    ]
    if test:
        hits = rng.random(IMAGES) < rate
        result.test_accuracy = float(hits.mean())
        result.test_hits = None if diverged else tuple(hits.tolist())
    return result


def make(database: str, n_trials: int) -> None:
    """A comparison called big, everything in it run."""
    declared = tomllib.loads((ROOT / "studies" / "digits.toml").read_text("utf-8"))
    declared |= {"name": "big", "n_trials": n_trials // len(declared["arms"])}
    spec = ComparisonSpec.model_validate(declared)
    with closing(open_store(database)) as store:
        enqueue(store, spec)
        work_here(store, trainer=FormulaTrainer("cpu"), comparison=spec.name)
        enqueue_afresh(store, spec)
        work_here(store, trainer=FormulaTrainer("cpu"), comparison=spec.name)


def report(database: str, folder: Path) -> str:
    """Seconds and memory of the whole command, its start included, in a line."""
    files = ["--html", str(folder / "report.html"), "--json", str(folder / "report.json")]
    command = [sys.executable, "-m", "tuner", "compare", "big", "--database", database, *files]
    began = time.perf_counter()
    with open(os.devnull, "w") as nowhere:
        subprocess.run(command, check=True, stdout=nowhere, cwd=ROOT)
    seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    return f"{seconds:.1f} s, {cpu:.1f} s of CPU, {used.ru_maxrss / 1024:,.0f} MiB at most"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        address = f"sqlite:///{made}/big.db"
        make(address, int(sys.argv[1]))
        sys.stdout.write(f"{report(address, Path(made))}\n")
