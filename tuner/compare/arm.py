"""One search space's finished trials, in the order they were proposed.

An ``Arm`` does not know where its trials come from: adapters fill it from a database or from
anything else, and turn every score so that higher is better.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tuner.compare.statistics.estimate import Bools, Floats, Ints
from tuner.compare.statistics.ranking import Importance
from tuner.compare.trial_filters import TrialFilters
from tuner.errors import InvalidInput
from tuner.trial import DataCounts

DEFAULTS = "defaults"
"""The sampler that draws nothing: every trial has the space's documented setting."""

INDEPENDENT = ("random", DEFAULTS)
"""The samplers whose trials do not depend on each other; the second draws nothing at all."""


@dataclass(frozen=True)
class Retrained:
    """One arm's incumbent, trained again with fresh seeds.

    Args:
        settings: The incumbent's hyperparameters.
        val: Validation scores, shape [s], one per fresh seed.
        test: Test scores of the same runs, shape [s], read once.
        hits: Whether each run classified each test image rightly, the same images in every arm,
            shape [s, M]; ``None`` where nobody knows.

    Raises:
        InvalidInput: If there is no run, a score is not finite, or the lengths differ.
    """

    settings: Mapping[str, object]
    val: Floats
    test: Floats
    hits: Bools | None = None

    def __post_init__(self) -> None:
        for name in ("val", "test"):
            scores = np.asarray(getattr(self, name), dtype=np.float64)
            if scores.ndim != 1 or scores.size == 0 or not np.isfinite(scores).all():
                raise InvalidInput(
                    f"retrained incumbent, {name}: needs a list of at least one finite score, "
                    f"got {scores.tolist()}; leave `retrained` out where there is none"
                )
            object.__setattr__(self, name, scores)
        if self.val.size != self.test.size:
            raise InvalidInput(
                "retrained incumbent: needs one validation and one test score per seed, "
                f"got {self.val.size} and {self.test.size}"
            )
        if self.hits is not None and (self.hits.ndim != 2 or len(self.hits) != self.test.size):
            raise InvalidInput(
                f"retrained incumbent, hits: needs a row of images for each of {self.test.size} "
                f"seeds, got shape {list(self.hits.shape)}"
            )


@dataclass(frozen=True)
class SelectedRuns:
    """What each independent search of one arm selected, trained afresh once.

    n random trials are n // k searches of k trials; of a sampler that learns, each repeat is one.

    Args:
        search: Which search each run belongs to, numbers from 0, each once, shape [m]; the runs
            are put into their order.
        val: Validation scores, shape [m].
        test: Test scores of the same runs, shape [m]; nothing was selected on them.
        planned: Searches declared; at least m.
        k: Trials of each search; ``None`` of whole searches, however long.
        hits: Whether each run classified each test image rightly, the same images in every arm,
            shape [m, M]; ``None`` where nobody knows.

    Raises:
        InvalidInput: If there is no run, a score is not finite, a search occurs twice or lies
            outside those planned, or the lengths differ.
    """

    search: Ints
    val: Floats
    test: Floats
    planned: int
    k: int | None = None
    hits: Bools | None = None

    def __post_init__(self) -> None:
        search = np.asarray(self.search, dtype=np.int64)
        for name in ("val", "test"):
            scores = np.asarray(getattr(self, name), dtype=np.float64)
            if scores.shape != search.shape or scores.size == 0 or not np.isfinite(scores).all():
                raise InvalidInput(
                    f"selected runs, {name}: needs one finite score for each of "
                    f"{search.size} searches, got {scores.tolist()}"
                )
            object.__setattr__(self, name, scores)
        if len(set(search.tolist())) < search.size or not 0 <= search.min() <= search.max() < (
            self.planned
        ):
            raise InvalidInput(
                f"selected runs, search: needs different numbers in 0..{self.planned - 1}, "
                f"got {search.tolist()}"
            )
        order = np.argsort(search)
        for name, values in (("search", search), ("val", self.val), ("test", self.test)):
            object.__setattr__(self, name, values[order])
        if self.hits is not None:
            if self.hits.ndim != 2 or len(self.hits) != search.size:
                raise InvalidInput(
                    f"selected runs, hits: needs a row of images for each of {search.size} "
                    f"searches, got shape {list(self.hits.shape)}"
                )
            object.__setattr__(self, "hits", self.hits[order])

    @property
    def in_order(self) -> Floats:
        """Test scores of the searches from the first on, up to one that is missing, shape [n].

        Which fresh runs end first may hang on what they reach.
        """
        missing = np.flatnonzero(self.search != np.arange(self.search.size))
        return self.test[: missing[0]] if missing.size else self.test


@dataclass(frozen=True)
class Arm:
    """The finished trials of one search space, in trial order.

    Args:
        name: The arm's name, unique in a comparison.
        scores: Score of each trial, higher is better, shape [n]. A failed trial has the score of
            chance, or the worst one possible: it is never left out.
        seconds: Training seconds of each trial, shape [n], NaN where unknown.
        failed: Whether the trial diverged or failed, shape [n].
        pruned: Whether the trial was stopped early, shape [n].
        sampler: ``"random"``, ``"tpe"``, ...; ``"unknown"`` where nobody can say.
        ranges: Each hyperparameter's range in words, ``{"alpha": "1e-05 .. 0.1, log"}``.
        retrained: The incumbent's fresh runs, where there are any.
        selected: What each of its searches selected, trained afresh, where it was.
        repeat: Which independent repeat of the search each trial belongs to, shape [n]; ``None``
            for a single search.
        epochs: Epochs each trial was trained, shape [n], NaN where unknown; ``None`` if nowhere.
        search_length: Trials of each whole search, where they were declared.
        batch: Which trials trained together and share their seconds, numbers from 0, shape [n];
            ``None`` where each trained by itself.
        filters: The gradient filter of each trial, where they are known.
        importance: How much each hyperparameter matters, where it was computed.
        code: The versions of the user's own code that its trials ran, if it is theirs.
        data: The data of the user's own that they were trained on, if it is theirs.
        settings: The hyperparameters of each trial as they were drawn, n of them, or none where
            nobody knows.

        carried: What its sampler began from, in words; empty if it began from nothing.

    Raises:
        InvalidInput: If there is no trial, lengths differ, or a score is not finite.
    """

    name: str
    scores: Floats
    seconds: Floats
    failed: Bools
    pruned: Bools
    sampler: str
    ranges: Mapping[str, str]
    retrained: Retrained | None = None
    selected: SelectedRuns | None = None
    repeat: Ints | None = None
    search_length: int | None = None
    epochs: Floats | None = None
    batch: Ints | None = None
    filters: TrialFilters | None = None
    importance: Importance | None = None
    code: tuple[str, ...] = ()
    data: tuple[DataCounts, ...] = ()
    settings: tuple[Mapping[str, object], ...] = ()
    carried: str = ""

    def __post_init__(self) -> None:
        self._store("scores", self.scores, np.float64)
        self._store("seconds", self.seconds, np.float64)
        self._store("failed", self.failed, np.bool_)
        self._store("pruned", self.pruned, np.bool_)
        if self.repeat is not None:
            self._store("repeat", self.repeat, np.int64)
        if self.epochs is not None:
            self._store("epochs", self.epochs, np.float64)
        if self.batch is not None:
            self._store("batch", self.batch, np.int64)
        if self.settings and len(self.settings) != self.n:
            raise InvalidInput(
                f"arm {self.name!r}: needs the settings of all {self.n} trials or of none, got "
                f"{len(self.settings)}"
            )
        if self.n == 0:
            raise InvalidInput(
                f"arm {self.name!r}: needs at least one finished trial, got none; "
                "run the study first"
            )
        bad = np.flatnonzero(~np.isfinite(self.scores))
        if bad.size:
            raise InvalidInput(
                f"arm {self.name!r}: every score must be finite, got {self.scores[bad[0]]} in "
                f"trial {bad[0]}; score a failed trial as chance"
            )

    def _store(self, field: str, values: ArrayLike, kind: type[np.generic]) -> None:
        array = np.asarray(values, dtype=kind)
        expected = np.shape(self.scores)
        if array.ndim != 1 or array.shape != expected:
            raise InvalidInput(
                f"arm {self.name!r}: {field} must be a list as long as the scores, "
                f"got shape {list(array.shape)} beside {list(expected)}"
            )
        object.__setattr__(self, field, array)

    @property
    def n(self) -> int:
        """Number of trials, failed and pruned ones included."""
        return int(self.scores.size)

    @property
    def searches(self) -> tuple[Floats, ...]:
        """The scores of each independent repeat of the search, in trial order."""
        if self.repeat is None:
            return (self.scores,)
        return tuple(self.scores[self.repeat == number] for number in np.unique(self.repeat))

    @property
    def searched(self) -> bool:
        """Whether its trials try different settings: not one setting with many seeds."""
        return self.sampler != DEFAULTS

    @property
    def independent(self) -> bool:
        """Whether the trials are independent draws from one distribution.

        Only then does the share that reaches a target mean anything: a sampler that learns has no
        such distribution, and a pruner cuts scores short.
        """
        return self.sampler in INDEPENDENT and not self.pruned.any()

    @property
    def random(self) -> bool:
        """Whether it is a random search run to its end: only then is there a best of k."""
        return self.searched and self.independent
