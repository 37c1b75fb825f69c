"""An objective called once, without a service: to see that it runs before it is searched."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tuner.rules import OWN, Setting
from tuner.search.objective.trial import Given, Trial
from tuner.trial import EpochPoint


def once(
    objective: Callable[..., Any],  # Any: a score, or a score and a test score
    settings: Mapping[str, Setting],
    *,
    rule: str = OWN,
    seed: int = 0,
    epochs: int = 1,
    test: bool = False,
    device: str = "cpu",
    options: Mapping[str, object] | None = None,
    shares: bool = True,
    on_report: Callable[[EpochPoint], bool] = lambda _point: False,
) -> Any:  # Any: what the objective returns
    """What the objective returns for one setting; errors come as they are.

    Args:
        objective: The function.
        settings: The hyperparameters of the trial.
        rule: The update rule that ``trial.optimizer`` makes, a name in ``tuner.rules.RULES``.
        seed: The trial's seed.
        epochs: How many epochs it may report.
        test: Whether a test score is wanted too.
        device: Where it is to be trained.
        options: Further arguments of the function.
        shares: Whether it must report shares in [0, 1], as accuracies are.
        on_report: Called with each report; returns whether the trial is to stop.
    """
    with tempfile.TemporaryDirectory(prefix="tuner-") as folder:
        given = Given(rule, settings, seed, epochs, test, device, Path(folder), shares)
        return objective(Trial(given, on_report), **(options or {}))
