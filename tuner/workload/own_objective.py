"""A training problem that a function of the user's trains and scores."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import ClassVar

from tuner.errors import InvalidInput
from tuner.workload.choices import ACCURACY, OPTION
from tuner.workload.own_functions import check_direction, check_function


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A training problem of the user's own: a function that trains one trial and scores it.

    The function is named, never sent: a worker imports it if its own configuration allows that.

    Args:
        objective: ``"package.module:function"``; it is called with a
            ``tuner.search.objective.trial.Trial`` and the options, and returns the trial's score;
            where ``trial.test`` is true, score and test score.
        options: Further arguments of the function, by name.
        epochs: How many epochs a trial reports at most, at least 1.
        chance: The score of guessing, where it is known: runs that diverged have it.
        scored_on: What the scores generalise to, in a sentence.
        metric: What the score is called. Accuracies are shares in [0, 1] of which more is better,
            others any finite numbers.
        direction: Which score is better, one of ``DIRECTIONS``; accuracies say it themselves.

    Raises:
        InvalidInput: If a value breaks one of these rules.
    """

    objective: str
    options: Mapping[str, OPTION] = field(default_factory=dict)
    epochs: int = 1
    chance: float | None = None
    scored_on: str = ""
    metric: str = ACCURACY
    direction: str = ""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        check_function("objective", self.objective)
        if not self.epochs >= 1:
            raise InvalidInput(f"workload.epochs: must be >= 1, got {self.epochs}")
        if self.metric == ACCURACY:
            if self.direction not in ("", "maximize"):
                raise InvalidInput(
                    "workload.direction: accuracies are shares of which more is better; give the "
                    f'score a name, such as metric = "loss", to {self.direction} it'
                )
        elif not re.fullmatch(r"\w[\w @%/().-]{0,39}", self.metric):
            raise InvalidInput(
                "workload.metric: must be a name of the score, 1 to 40 letters, such as "
                f'"validation loss", got {self.metric!r}'
            )
        else:
            check_direction(self.metric, self.direction)
        if self.chance is not None and not self._may_be(self.chance):
            wanted = "in [0, 1)" if self.metric == ACCURACY else "finite"
            raise InvalidInput(f"workload.chance: must be {wanted}, got {self.chance}")

    def _may_be(self, chance: float) -> bool:
        return 0 <= chance < 1 if self.metric == ACCURACY else isfinite(chance)

    @property
    def unit(self) -> str:
        """What its scores are called."""
        return self.metric

    @property
    def minimized(self) -> bool:
        """Whether a lower score is better."""
        return self.direction == "minimize"

    @property
    def functions(self) -> dict[str, str]:
        """The functions of the user's that it names, by field."""
        return {"objective": self.objective}
