"""One side of a comparison: a search space and how it is searched."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    ModelWrapValidatorHandler,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from tuner.errors import InvalidInput
from tuner.search.declared.carried import Carried, past_of
from tuner.search.declared.files import Count, Declared, shown, unless_none
from tuner.search.declared.spaces import Space, load_space
from tuner.search.declared.whole_trials import STORED, refuse_too_few_whole_trials

Searching = Literal["random", "tpe", "cmaes", "gp"]
"""The samplers that choose the next trial's parameters; ``samplers.SAMPLERS`` makes them."""

Sampler = Literal[Searching, "defaults"]
Pruner = Literal["none", "median", "asha", "hyperband"]
BEGIN_FROM_OTHERS: tuple[Searching, ...] = ("tpe", "gp")
"""The samplers that learn from settings and values alone, whoever chose them."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


def _space(data: Any) -> Any:  # Any: unchecked outside data; a name or an inline table
    if isinstance(data, str):
        return load_space(data)
    if not isinstance(data, dict | Space):
        raise InvalidInput(f"must be the name of a search space, or a table, got {shown(data)}")
    return {"name": "inline", **data} if isinstance(data, dict) else data


SpaceOrName = Annotated[Space, BeforeValidator(_space, json_schema_input_type=Space | str)]
"""A search space, or the name of a declared one."""


class ArmSpec(Declared):
    """One side of a comparison: a search space and how it is searched.

    Args:
        name: What the arm is called.
        space: The name of a declared space, or an inline one.
        sampler: Chooses the next trial's parameters; ``random`` gives the whole tuning curve,
            ``defaults`` searches nothing: every trial has the space's documented setting.
        pruner: Stops trials early; ``none`` for the primary comparison and for ``cmaes``, ``gp``.
        n_trials: Trials per repeat, in place of the comparison's.
        repeats: Independent searches, in place of the comparison's.
        carried: Trials of an earlier search that each search begins from; for ``tpe`` and ``gp``.
    """

    name: Name
    space: SpaceOrName
    sampler: Sampler = "random"
    pruner: Pruner = "none"
    n_trials: Count | None = unless_none()
    repeats: Count | None = unless_none()
    carried: Carried | None = unless_none()

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_what_cannot_learn(
        cls,
        data: Any,  # Any: whatever the file or request held
        handler: ModelWrapValidatorHandler[Self],
        info: ValidationInfo,
    ) -> Self:
        arm = handler(data)
        if data is not arm and info.context != STORED:  # not declared before
            refuse_too_few_whole_trials(arm.name, arm.sampler, arm.pruner)
        return arm

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.sampler == "defaults" and not self.space.defaults:
            raise InvalidInput(
                f"arm {self.name!r}: the sampler 'defaults' needs a space that has [defaults], "
                f"{self.space.name!r} has none"
            )
        if self.carried is not None and self.sampler not in BEGIN_FROM_OTHERS:
            raise InvalidInput(
                f"arm {self.name!r}: the sampler {self.sampler!r} takes no carried trials; use "
                f"{' or '.join(map(repr, BEGIN_FROM_OTHERS))}, or leave `carried` out"
            )
        past_of(self.carried, self.space)  # refuses what does not fit
        return self

    @property
    def ranges(self) -> dict[str, str]:
        """Optuna parameter name -> the range searched, in words; the settings if none is."""
        if self.sampler != "defaults":
            return self.space.ranges
        return {name: f"{value} (fixed)".lower() for name, value in self.space.setting.items()}

    @property
    def learns(self) -> bool:
        """Whether what a trial tries depends on how earlier ones ended."""
        return self.sampler not in ("random", "defaults")

    @property
    def independent(self) -> bool:
        """Whether its trials are independent of each other, and all run to their end."""
        return self.sampler == "random" and self.pruner == "none"
