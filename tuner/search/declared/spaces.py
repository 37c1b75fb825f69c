"""Search spaces as data: which update rule, which of its hyperparameters vary, and how.

A space is a TOML file in ``studies/spaces`` (or an inline table of a study):

    rule = "filter_flip"
    description = "..."
    [fixed]                      # settings that every trial has
    gamma = 0.1
    [defaults]                   # the documented setting, for a run without any search
    alpha = 1e-3
    gamma = 0.1
    [parameters]
    alpha = {low = 1e-5, high = 1e-1, log = true}
    alpha_decay = {choices = ["constant", "cosine"]}

A space for an objective of the user's own needs no rule: its hyperparameters are the objective's.
"""

from functools import lru_cache
from math import isfinite, sqrt
from pathlib import Path
from typing import Annotated, Any, Self, cast

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import BaseTrial
from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
    model_validator,
)

from tuner.errors import InvalidInput, UnknownName
from tuner.rules import OWN, RULES, Setting, Whole, complete, refuse_together
from tuner.search.declared.files import Declared, read_toml, shown, studies_dir


def _scalar(data: Any) -> Any:  # Any: unchecked outside data
    if not isinstance(data, bool | int | float | str):
        raise InvalidInput(f"must be a number, a text, true or false, got {shown(data)}")
    if isinstance(data, float) and not isfinite(data):
        raise InvalidInput(f"must be finite, got {data}")
    return data


Scalar = Annotated[StrictBool | StrictInt | StrictFloat | StrictStr, BeforeValidator(_scalar)]


class Range(Declared):
    """A number between two bounds.

    Args:
        low: Least value, > 0 if ``log``.
        high: Greatest value, above ``low``.
        log: Uniform in the logarithm.
        integer: Whole numbers alone, the bounds among them.
        complement: Search 1 - value between the bounds instead, under the name ``one_minus_X``.
    """

    low: StrictFloat
    high: StrictFloat
    log: StrictBool = False
    complement: StrictBool = False
    integer: StrictBool = Field(default=False, exclude_if=lambda value: not value)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low < self.high:
            raise InvalidInput(f"low must be below high, got low={self.low}, high={self.high}")
        if self.integer and not (self.low.is_integer() and self.high.is_integer()):
            raise InvalidInput(
                f"low and high must be whole where integer=true, got {self.low} and {self.high}"
            )
        if self.integer and self.complement:
            raise InvalidInput("a complement is of a share, so no integer; drop one of the two")
        if self.log and not self.low > 0:
            raise InvalidInput(f"low must be > 0 where log=true, got {self.low}")
        return self

    @property
    def ends(self) -> tuple[float, float]:
        """The two settings at the bounds."""
        return (1 - self.low, 1 - self.high) if self.complement else (self.low, self.high)

    @property
    def middle(self) -> Setting:
        """The setting half way between the bounds, on the scale that is searched."""
        middle = sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        if self.integer:
            return round(middle)
        return 1 - middle if self.complement else middle

    def __str__(self) -> str:
        return f"{self.low:g} .. {self.high:g}" + (", log" if self.log else "")


class Choices(Declared):
    """A hyperparameter that takes one of a few values."""

    choices: Annotated[tuple[Scalar, ...], Field(min_length=1)]

    @property
    def middle(self) -> Setting:
        """The first choice."""
        return self.choices[0]

    def __str__(self) -> str:
        return ", ".join(str(choice).lower() for choice in self.choices)


def _kind(data: Any) -> str:  # Any: unchecked outside data
    choice = isinstance(data, Choices) or (isinstance(data, dict) and "choices" in data)
    return "choice" if choice else "range"


Parameter = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choice")], Discriminator(_kind)
]


class Space(Declared):
    """The settings that a search may visit: of one update rule, or of the user's own objective.

    Args:
        name: What the space is called.
        rule: A name in ``tuner.rules.RULES``, or ``own``.
        description: What the space is and where its ranges come from.
        fixed: Settings that every trial has; what neither they nor ``parameters`` name takes
            the rule's default.
        defaults: The documented setting of someone who does not tune.
        parameters: Hyperparameter -> the values to search.
    """

    name: StrictStr
    rule: StrictStr = OWN
    description: StrictStr = ""
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    defaults: dict[str, Scalar] = Field(default_factory=dict)
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.parameters:
            if name in self.fixed:
                raise InvalidInput(f"{name} is both in [fixed] and in [parameters]; drop one")
        if self.rule != OWN:
            self._check_rule()
        return self

    def _check_rule(self) -> None:
        """Refuse what the update rule does not take."""
        if self.rule not in RULES:
            raise UnknownName("update rule", self.rule, RULES)
        complete(self.rule, self.defaults)
        example: dict[str, Setting] = dict(self.fixed)
        for name, parameter in self.parameters.items():
            if name not in RULES[self.rule]:
                raise UnknownName(f"hyperparameter of {self.rule}", name, RULES[self.rule])
            kind = RULES[self.rule][name]
            values: tuple[Setting, ...] = (
                parameter.ends if isinstance(parameter, Range) else parameter.choices
            )
            for value in values:
                kind.check(f"parameters.{name}", value)
            if isinstance(kind, Whole) and isinstance(parameter, Range) and not parameter.integer:
                raise InvalidInput(f"parameters.{name} is a whole number; add integer = true")
            example[name] = max(parameter.ends) if isinstance(parameter, Range) else values[0]
        full = complete(self.rule, example)
        for name, parameter in self.parameters.items():
            if isinstance(parameter, Range):
                refuse_together(self.rule, full | {name: min(parameter.ends)})

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna parameter name -> its distribution, in the order of the declaration."""
        return {
            optuna_name(name, parameter): _distribution(parameter)
            for name, parameter in self.parameters.items()
        }

    @property
    def setting(self) -> dict[str, Setting]:
        """The documented setting of someone who does not tune."""
        return {**self.fixed, **self.defaults}

    @property
    def middle(self) -> dict[str, Setting]:
        """A setting in the middle of every range, at the first of every choice."""
        searched = {name: parameter.middle for name, parameter in self.parameters.items()}
        return {**self.fixed, **searched}

    @property
    def ranges(self) -> dict[str, str]:
        """Optuna parameter name -> its range in words; fixed settings are named too."""
        searched = {optuna_name(name, p): str(p) for name, p in self.parameters.items()}
        return searched | {
            name: f"{str(value).lower()} (fixed)" for name, value in self.fixed.items()
        }


def _distribution(parameter: Range | Choices) -> BaseDistribution:
    if isinstance(parameter, Choices):
        return CategoricalDistribution(parameter.choices)
    if parameter.integer:
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def optuna_name(name: str, parameter: Range | Choices) -> str:
    """What a hyperparameter is called in Optuna: itself, or ``one_minus_X`` for a complement."""
    return f"one_minus_{name}" if isinstance(parameter, Range) and parameter.complement else name


def suggest(space: Space, trial: BaseTrial) -> dict[str, Setting]:
    """The update rule's settings for a trial, each asked of its sampler once.

    Args:
        space: Where to search.
        trial: An Optuna trial; one whose parameters are set keeps them.
    """
    settings: dict[str, Setting] = dict(space.fixed)
    for name, parameter in space.parameters.items():
        key = optuna_name(name, parameter)
        if isinstance(parameter, Choices):
            settings[name] = cast(Setting, trial.suggest_categorical(key, parameter.choices))
        elif parameter.integer:
            low, high = int(parameter.low), int(parameter.high)
            settings[name] = trial.suggest_int(key, low, high, log=parameter.log)
        else:
            value = trial.suggest_float(key, parameter.low, parameter.high, log=parameter.log)
            settings[name] = 1 - value if parameter.complement else value
    return settings


def declared_spaces() -> dict[str, Path]:
    """Name -> file of every declared space."""
    folder = studies_dir() / "spaces"
    return dict(_listed(folder, folder.stat().st_mtime_ns))


@lru_cache(maxsize=4)
def _listed(folder: Path, _changed: int) -> dict[str, Path]:
    """Name -> file of every space in a folder, looked for again when it was changed."""
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_space(name: str) -> Space:
    """The declared space of that name.

    Raises:
        UnknownName: If there is none; lists those that exist.
        InvalidInput: If its file breaks a rule.
    """
    spaces = declared_spaces()
    if name not in spaces:
        raise UnknownName("search space", name, spaces)
    path = spaces[name]
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _read(path: Path, _changed: int) -> Space:
    """The space that a file declares, read again when it was changed."""
    return read_toml(Space, path)
