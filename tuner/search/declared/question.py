"""The question that a comparison asks: which arms, at which budget, against which margin."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, StrictFloat

from tuner.errors import InvalidInput, UnknownName
from tuner.search.declared.files import Count, Declared, a_list, unless_none
from tuner.workload import ACCURACY, AnyWorkload

Share = Annotated[StrictFloat, Field(gt=0, lt=1)]
Shares = Annotated[
    tuple[Share, ...],
    Field(min_length=1, max_length=20),
    a_list("shares such as [0.5, 0.75]"),
]
Pair = Annotated[tuple[str, str], a_list('two arms, new and old, such as ["filter", "magnitude"]')]


class VerdictSpec(Declared):
    """The question, fixed before the first trial runs.

    Args:
        primary: The arm claimed to need less tuning, then the arm it is held against.
        control: The arm with the old space's narrow literature ranges, if any.
        exact: The arm that searches the old space at the exact map of the new one, if any: it
            should do as the new one does.
        repeated: The two arms, new and old, whose searches are repeated with a sampler that
            learns: the secondary endpoint.
        k: Budget of the primary endpoint, in trials; a twentieth of ``n_trials``,
            but at least 2, if not given.
        target: A validation accuracy in (0, 1) that counts as good, if any; or a score of another
            metric.
        rope: Region of practical equivalence, in percentage points; of another metric, which has
            no usual one, in its units.
        looks: Shares of the searches planned after which the verdict is looked at while they run,
            rising; what goes wrong at all looks together stays what it is without.
        stop: Whether the primary arms and their control end at the look that settles the verdict.
    """

    primary: Pair | None = None
    control: str | None = None
    exact: str | None = unless_none()
    repeated: Pair | None = unless_none()
    k: Count | None = None
    target: Annotated[StrictFloat, Field(allow_inf_nan=False)] | None = None
    rope: Annotated[StrictFloat, Field(ge=0, allow_inf_nan=False)] = 0.3
    looks: Shares | None = unless_none()
    stop: Literal["when settled"] | None = unless_none()

    def check_unit(self, workload: AnyWorkload) -> None:
        """Check what is given in units of the score.

        Raises:
            InvalidInput: If it is no accuracy where scores are, or the region of practical
                equivalence is left out where they are not.
        """
        if workload.unit != ACCURACY:
            if "rope" not in self.model_fields_set:
                raise InvalidInput(
                    "verdict.rope: say which difference does not matter, in units of "
                    f"{workload.unit}; only accuracies have a usual one"
                )
            return
        if self.target is not None and not 0 < self.target < 1:
            raise InvalidInput(
                f"verdict.target: must be an accuracy in (0, 1), got {self.target:g}"
            )
        if not self.rope <= 100:
            raise InvalidInput(f"verdict.rope: must be at most 100 points, got {self.rope:g}")

    def check(self, names: Sequence[str]) -> None:
        """Check that the arms it names are there, and that none has two parts.

        Raises:
            UnknownName: If an arm is not there.
            InvalidInput: If an arm has two parts, or looks do not rise, or there are none to stop
                at.
        """
        pairs = {"primary": self.primary, "repeated": self.repeated}
        named = [name for pair in pairs.values() if pair for name in pair]
        for name in (*named, self.control, self.exact):
            if name is not None and name not in names:
                raise UnknownName("verdict: arm", name, names)
        for field, pair in pairs.items():
            if pair and pair[0] == pair[1]:
                raise InvalidInput(f"verdict.{field}: name two different arms")
        taken = list(self.primary or names[:2])
        for field, name in (("control", self.control), ("exact", self.exact)):
            if name in taken:
                raise InvalidInput(f"verdict.{field}: must be a third arm, not {name!r} again")
            taken += [name] if name else []
        if any(not a < b for a, b in pairwise(self.looks or ())):
            raise InvalidInput(f"verdict.looks: must rise, got {list(self.looks or ())}")
        if self.stop and not self.looks:
            raise InvalidInput(
                f"verdict.stop: {self.stop!r} needs looks to stop at, such as looks = [0.5, 0.75]"
            )
