"""Distributions of scores as searches find them, and the popular estimator that is biased."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

Quantile = Callable[[np.ndarray], np.ndarray]


def diverging(u: np.ndarray) -> np.ndarray:
    """Accuracies: 15% diverge to chance, the rest crowd below 97%."""
    return np.where(u < 0.15, 0.1, 0.97 - 0.3 * (1 - np.clip((u - 0.15) / 0.85, 0, 1)) ** 2)


def plateaus(u: np.ndarray) -> np.ndarray:
    """Six levels, the highest at a tenth of the trials."""
    levels = np.array([0.1, 0.5, 0.8, 0.9, 0.94, 0.95])
    return levels[np.searchsorted([0.2, 0.35, 0.55, 0.75, 0.9], u, side="right")]


def heavy_lower_tail(u: np.ndarray) -> np.ndarray:
    """Accuracies whose distance to 98% is log-normal, cut at chance."""
    scores: np.ndarray = np.maximum(0.98 - 0.03 * np.exp(1.0 * stats.norm.ppf(1 - u)), 0.1)
    return scores


def near_normal(u: np.ndarray) -> np.ndarray:
    scores: np.ndarray = 0.9 + 0.02 * stats.norm.ppf(u)
    return scores


DISTRIBUTIONS = (diverging, plateaus, heavy_lower_tail, near_normal)


def plug_in_best_of_k(scores: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """The popular but low-biased expectation of the best of k, one value per k.

    V_k = sum_i [(i/n)^k - ((i-1)/n)^k] x_(i), which draws with replacement.

    Source: Dodge et al. (2019), "Show your work".
    """
    ordered = np.sort(scores)
    share = np.arange(ordered.size + 1) / ordered.size
    return np.array([np.diff(share**k) @ ordered for k in ks])
