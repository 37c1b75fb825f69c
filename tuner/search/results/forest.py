"""A forest of randomized trees that learns scores from hyperparameters, and what it learned.

All it says is about trials that a tree has not seen (out of bag): nothing is praised that was
learned by heart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from tuner.compare.statistics.estimate import Floats

TREES, TREES_OF_HALF, LEAF = 64, 32, 2
"""How many trees, how many learn from half of the trials, and the fewest trials in a leaf."""
STRANGERS = 8
"""Other trials whose value a trial's hyperparameter is replaced by, in turn."""
SPLITS = 3
"""How often the trials are halved, to see what a forest learns from half of them."""


@dataclass(frozen=True)
class Learned:
    """What a forest says about trials that its trees have not seen, as shares of the variance.

    Args:
        contributions: Of each trial to each hyperparameter's importance, shape [p, n]. Their mean
            over the trials is the covariance of the score with what the forest predicts, less
            that with what it predicts once the hyperparameter has another trial's value. Of a
            forest that knew the truth it would be the variance that nothing explains without the
            hyperparameter (its total effect, interactions included); of a hyperparameter that
            does nothing it is 0 in the mean, below 0 as often as above.
        explained: Of the scores' variance (R^2 out of bag); below 0 if the others' mean predicts
            better.
        error: Standard error of that over the trials.
        unlearned: What a forest of ever more trials would explain besides, extrapolated: twice
            what this one explains more than those of half the trials do.
    """

    contributions: Floats
    explained: float
    error: float
    unlearned: float


def learn(columns: Mapping[str, Floats], scores: Floats, rng: np.random.Generator) -> Learned:
    """What a forest of all trials learned, and what six forests of half of them did.

    The scores' ranks are learned: a loss that exploded weighs no more than any other bad one, and
    it does not matter whether accuracies or their logarithms are compared.

    Args:
        columns: Hyperparameter -> its values, shape [n, c]: one column, or one for each choice.
        scores: Shape [n], not all equal.
        rng: Decides the trees, the strangers and the halves.
    """
    ranks = np.asarray(scipy.stats.rankdata(scores) / len(scores), dtype=np.float64)
    inputs = np.hstack(list(columns.values())).astype(np.float32)
    ends = np.cumsum([values.shape[1] for values in columns.values()])
    groups = np.split(np.arange(inputs.shape[1]), ends[:-1])
    unseen, predicted = _out_of_bag(inputs, ranks, groups, TREES, rng)
    truth = ranks[unseen]
    explained, error = _explained(truth, predicted[0])
    halves = []
    for _ in range(SPLITS):
        for half in np.array_split(rng.permutation(ranks.size), 2):
            unseen, fewer = _out_of_bag(inputs[half], ranks[half], [], TREES_OF_HALF, rng)
            halves.append(_explained(ranks[half][unseen], fewer[0])[0])
    return Learned(
        contributions=(truth - truth.mean()) * (predicted[0] - predicted[1:]) / truth.var(),
        explained=explained,
        error=error,
        unlearned=2 * max(0.0, explained - float(np.mean(halves))),
    )


def _out_of_bag(
    inputs: NDArray[np.float32],
    ranks: Floats,
    groups: Sequence[NDArray[np.int64]],
    trees: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.bool_], Floats]:
    """Which trials some tree has not seen, and what such trees predict of them, in the mean.

    The predictions have shape [1 + p, m]: as the trials are, then with each of the p groups of
    columns replaced by those of ``STRANGERS`` other trials, in the mean.
    """
    from sklearn import config_context  # half a second to import, and rarely needed
    from sklearn.tree import ExtraTreeRegressor

    n = ranks.size
    asked = np.repeat(inputs[None], 1 + STRANGERS * len(groups), axis=0)
    for place, group in enumerate(groups):
        for turn in range(STRANGERS):
            strangers = inputs[rng.permutation(n)]
            asked[1 + STRANGERS * place + turn][:, group] = strangers[:, group]
    sums, counts = np.zeros(asked.shape[:2]), np.zeros(n)
    flat = asked.reshape(-1, inputs.shape[1])
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for _ in range(trees):
            times_seen = np.bincount(rng.integers(n, size=n), minlength=n)
            tree = ExtraTreeRegressor(
                max_features=1.0, min_samples_leaf=LEAF, random_state=int(rng.integers(2**31))
            ).fit(inputs, ranks, sample_weight=times_seen.astype(np.float64), check_input=False)
            unseen = times_seen == 0
            answers = tree.tree_.predict(flat).reshape(sums.shape)
            sums[:, unseen] += answers[:, unseen]
            counts += unseen
    some = counts > 0
    means = sums[:, some] / counts[some]
    replaced = means[1:].reshape(len(groups), STRANGERS, means.shape[1]).mean(axis=1)
    return some, np.vstack([means[:1], replaced])


def _explained(truth: Floats, predicted: Floats) -> tuple[float, float]:
    """R^2 against the mean of the others, and its standard error; none if all are equal."""
    others = (truth.sum() - truth) / (truth.size - 1)
    spread = (truth - others) ** 2
    if not spread.any():
        return 0.0, 0.0
    gains = (spread - (truth - predicted) ** 2) / spread.mean()
    return float(gains.mean()), float(gains.std(ddof=1)) / float(np.sqrt(truth.size))
