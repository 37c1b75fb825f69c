"""Whether TPE hands out near-duplicates to many workers, and what its constant liar does.

``python -m tests.search.work.parallel_asks`` searches a bowl in five dimensions with so many
trials running at a time, each ended in a random order. It prints how far a new trial is from the
nearest that still runs (the largest difference in a dimension, of 1), the best loss, and the mean
loss of the second half of 256 trials: of TPE, which takes running trials for bad ones since
Optuna 5, of TPE without that, and of random search.
"""

from collections.abc import Callable

import numpy as np
import optuna
import typer
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

TRIALS, SEEDS, RUNNING = 256, 6, (1, 8, 32, 128)
LOWEST = np.array([0.3, 0.7, 0.5, 0.2, 0.8])
SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed),  # as this software asks it
    "without liar": lambda seed: TPESampler(seed=seed, constant_liar=False),
    "random": lambda seed: RandomSampler(seed=seed),
}


def search(make: Callable[[int], BaseSampler], running: int, seed: int) -> tuple[float, ...]:
    """Nearest running trial (median), best loss, mean loss of the second half."""
    study, order = optuna.create_study(), np.random.default_rng(seed)
    under_way: list[tuple[optuna.Trial, np.ndarray]] = []
    near, losses, asked = [], [], 0
    while asked < TRIALS or under_way:
        while len(under_way) < running and asked < TRIALS:
            study.sampler = make(seed * 1000 + asked)
            trial = study.ask()
            x = np.array([trial.suggest_float(f"x{i}", 0, 1) for i in range(len(LOWEST))])
            if under_way and asked >= running + 20:  # after those that are drawn at random
                near.append(min(abs(x - other).max() for _, other in under_way))
            under_way.append((trial, x))
            asked += 1
        trial, x = under_way.pop(order.integers(len(under_way)))
        losses.append(float(((x - LOWEST) ** 2).sum()))
        study.tell(trial, losses[-1])
    return float(np.median(near)) if near else np.nan, min(losses), np.mean(losses[TRIALS // 2 :])


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    typer.echo("running  sampler        nearest  best loss  second half")
    for running in RUNNING:
        for name, make in SAMPLERS.items():
            found = np.mean([search(make, running, seed) for seed in range(SEEDS)], axis=0)
            numbers = f"{found[0]:7.3f}  {found[1]:9.4f}  {found[2]:11.3f}"
            typer.echo(f"{running:7}  {name:13}  {numbers}")
