"""Makes ``made_filters`` importable; arms and retrained incumbents."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tuner.compare import Arm, Retrained
from tuner.compare.arm import SelectedRuns

sys.path.insert(0, str(Path(__file__).parent))


def make_arm(name: str, scores: Any, **given: Any) -> Arm:
    """An arm of random search in which nothing failed, unless told otherwise."""
    n = len(scores)
    defaults: dict[str, Any] = {
        "seconds": np.full(n, 0.5),
        "failed": np.zeros(n, dtype=bool),
        "pruned": np.zeros(n, dtype=bool),
        "sampler": "random",
        "ranges": {"alpha": "1e-05 .. 0.1, log"},
    }
    return Arm(name=name, scores=np.asarray(scores, dtype=float), **(defaults | given))


def make_retrained(mean: float, spread: float = 0.001) -> Retrained:
    """Ten fresh runs with exactly this mean."""
    steps = np.linspace(-1, 1, 10) * spread
    return Retrained({"alpha": 0.003, "gamma": 0.1}, val=mean + steps, test=mean + steps)


def make_selected(mean: float, spread: float = 0.001, n: int = 20) -> SelectedRuns:
    """Fresh runs of what n searches selected, spread evenly about this median."""
    runs = np.random.default_rng(n).permutation(mean + spread * np.linspace(-1, 1, n))
    return SelectedRuns(np.arange(n), val=runs, test=runs, planned=n)


@pytest.fixture
def selected() -> Callable[..., SelectedRuns]:
    return make_selected


@pytest.fixture
def arm() -> Callable[..., Arm]:
    return make_arm


@pytest.fixture
def retrained() -> Callable[..., Retrained]:
    return make_retrained
