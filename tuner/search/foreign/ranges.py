"""The hyperparameters of a study's trials: their ranges and settings."""

import json
import re
from collections.abc import Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from tuner.search.foreign.shown import printable


def ranges(trials: Sequence[FrozenTrial]) -> dict[str, str]:
    """Each hyperparameter's range in words, ``{"lr": "1e-05 .. 0.1, log"}``."""
    distributions: dict[str, BaseDistribution] = {}
    for trial in trials:
        distributions |= trial.distributions
    return {printable(name): in_words(kind) for name, kind in distributions.items()}


def settings(trial: FrozenTrial) -> dict[str, object]:
    """What the trial drew, a list among it in words."""
    return {
        printable(name): _choice(value) if isinstance(value, list | tuple | dict) else value
        for name, value in trial.params.items()
    }


def in_words(kind: BaseDistribution) -> str:
    """A range: its ends, or its choices."""
    if isinstance(kind, CategoricalDistribution):
        return ", ".join(map(_choice, kind.choices))
    if isinstance(kind, IntDistribution):
        step = "" if kind.step == 1 else f", step {kind.step}"
        return f"{kind.low} .. {kind.high}" + (", log" if kind.log else step)
    if isinstance(kind, FloatDistribution):
        step = "" if kind.step is None else f", step {kind.step:.12g}"
        return f"{kind.low:.12g} .. {kind.high:.12g}" + (", log" if kind.log else step)
    return str(kind)


def _choice(choice: Any) -> str:  # Any: any JSON value
    """As in TOML, but a text without quotes where it cannot be taken for anything else."""
    if isinstance(choice, str):
        plain = re.fullmatch(r"(?!(true|false|None)$)[^\W\d][\w.-]*", choice)
        return choice if plain else json.dumps(printable(choice), ensure_ascii=False)
    if isinstance(choice, list | tuple):
        return f"[{', '.join(map(_choice, choice))}]"
    return str(choice).lower() if isinstance(choice, bool) else str(choice)
