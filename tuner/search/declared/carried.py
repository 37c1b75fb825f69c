"""Trials of an earlier search, mapped into a space, from which a sampler that learns begins."""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated

from optuna.trial import FrozenTrial, create_trial
from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from tuner.errors import InvalidInput
from tuner.search.declared.files import Declared, unless_none
from tuner.search.declared.spaces import Range, Scalar, Space, optuna_name
from tuner.search.declared.whole_trials import STORED

Weight = Annotated[StrictFloat, Field(gt=0, le=1)]


class CarriedTrial(Declared):
    """One finished trial of another study, as a setting of this space.

    Args:
        number: Its number there.
        settings: The space's hyperparameters, each of those that it searches.
        value: What it reached, in the metric of the workload that is searched.
        weight: How exactly it is the setting: 1 if it is that very filter.
    """

    number: Annotated[StrictInt, Field(ge=0)]
    settings: dict[str, Scalar]
    value: StrictFloat
    weight: Weight = 1.0

    def in_space(self, space: Space) -> FrozenTrial:
        """As a finished trial of a search of that space.

        Raises:
            InvalidInput: If it lacks a hyperparameter, or a value lies outside its range.
        """
        params: dict[str, Scalar] = {}
        distributions = space.distributions
        for name, parameter in space.parameters.items():
            if name not in self.settings:
                raise InvalidInput(f"carried trial {self.number}: has no {name}")
            value, key = self.settings[name], optuna_name(name, parameter)
            if isinstance(parameter, Range):
                if isinstance(value, bool | str):
                    raise InvalidInput(f"carried trial {self.number}: {name} must be a number")
                low, high = sorted(parameter.ends)
                if not low <= value <= high:
                    raise InvalidInput(
                        f"carried trial {self.number}: {name} {value:.4g} is outside the range "
                        f"{low:g} to {high:g} of space {space.name!r}"
                    )
                value = 1 - value if parameter.complement else value
            elif value not in parameter.choices:
                raise InvalidInput(
                    f"carried trial {self.number}: {name} {value!r} is no choice of space "
                    f"{space.name!r}"
                )
            params[key] = value
        return create_trial(
            params=params,
            distributions=distributions,
            value=self.value,
            user_attrs={"carried": {"number": self.number, "weight": self.weight}},
        )


class Carried(Declared):
    """What a search begins from.

    Args:
        source: Where the trials are from, for people.
        trials: They themselves.
        minimized: Whether a lower value is better; ``None`` where nobody says.
        workload: What they trained, in words; ``None`` likewise.
    """

    source: StrictStr
    trials: Annotated[tuple[CarriedTrial, ...], Field(min_length=1)]
    minimized: StrictBool | None = unless_none()
    workload: StrictStr | None = unless_none()

    @cached_property
    def exact(self) -> int:
        """How many are the very filter."""
        return sum(trial.weight == 1 for trial in self.trials)

    def of_other(self, workload: str | None) -> str:
        """What they trained, where that is known not to be this workload; else empty."""
        if self.workload is None or workload is None or self.workload == workload:
            return ""
        return self.workload

    def in_words(self, workload: str | None) -> str:
        """Which were carried: ``12 trials of old.db::magnitude, 3 of them exact (0, 4, ...)``.

        Args:
            workload: What is searched now, in words, if that is known.
        """
        other = self.of_other(workload)
        numbers = ", ".join(str(trial.number) for trial in self.trials)
        return (
            f"{len(self.trials)} trials carried from {self.source}, {self.exact} of them exactly "
            f"(numbers {numbers})" + (f", which trained {other}" if other else "")
        )


def began_from(arm: object, workload: str | None) -> str:
    """What an arm's searches began from, of its declaration as JSON; empty if from nothing.

    Args:
        arm: Its declaration.
        workload: What it searched, in words, if that is known.
    """
    carried = arm.get("carried") if isinstance(arm, dict) else None
    if not carried:
        return ""
    return Carried.model_validate(carried, context=STORED).in_words(workload)


def past_of(carried: Carried | None, space: Space) -> Sequence[FrozenTrial]:
    """The carried trials as trials of a search of the space; none where nothing is carried."""
    return [] if carried is None else [trial.in_space(space) for trial in carried.trials]
