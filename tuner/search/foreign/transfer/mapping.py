"""What the parameters of a study are as hyperparameters of SGD on latent weights.

steps = 20000                      # length of a run, where it is known
[settings]
learning_rate = {parameter = "log10_lr", scale = "log10"}
momentum = {parameter = "mom"}
weight_decay = 5e-4                # the same for all trials
coupled = true                     # torch.optim.SGD; false decays the weights themselves
[only]                             # the trials that are meant
optimizer = "sgd"
"""

import math
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from optuna.trial import FrozenTrial
from pydantic import Discriminator, Field, StrictInt, StrictStr, Tag, model_validator

from tuner.errors import InvalidInput, UnknownName
from tuner.rules import RULES, Setting, complete
from tuner.search.declared.files import Declared, read_toml, unless_none
from tuner.search.declared.spaces import Scalar
from tuner.search.foreign.record import StudyRecord
from tuner.search.foreign.shown import printable

RULE = "latent_sgd"
"""The rule whose settings a mapping gives."""

Scale = Literal["itself", "log10", "ln", "log2", "complement"]

_UNDONE: Mapping[Scale, Callable[[float], float]] = {
    "itself": float,
    "log10": lambda x: math.pow(10.0, x),
    "ln": math.exp,
    "log2": lambda x: math.pow(2.0, x),
    "complement": lambda x: 1 - x,
}
"""How a parameter is written -> the hyperparameter of it."""

_CALLED: Mapping[str, tuple[str, ...]] = {"learning_rate": ("lr",), "weight_decay": ("wd",)}
"""What hyperparameters are called beside their names here."""

_STARTS: tuple[tuple[str, Scale], ...] = (
    ("", "itself"),
    ("log10_", "log10"),
    ("one_minus_", "complement"),
)
"""What stands before a name -> how the parameter is written."""

_UNSAID = ("momentum", "weight_decay", "coupled")
"""Hyperparameters that decide which filter a trial was, and that few studies search all."""


class Parameter(Declared):
    """A hyperparameter that a study searched.

    Args:
        parameter: What the study calls it.
        scale: How it is written: its logarithm, 1 less it, or itself.
        otherwise: The hyperparameter of trials without that parameter; none has it if ``None``.
    """

    parameter: StrictStr
    scale: Scale = "itself"
    otherwise: Scalar | None = unless_none()

    def of(self, value: Any) -> Setting:  # Any: what a trial drew
        """The hyperparameter, of what a trial drew.

        Raises:
            InvalidInput: If it is a logarithm or a complement of no number, or overflows.
        """
        if self.scale == "itself":
            return value  # type: ignore[no-any-return]  # checked with the rule
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(f"parameter {self.parameter}: must be a number, got {value!r}")
        try:
            return _UNDONE[self.scale](value)
        except OverflowError as error:
            raise InvalidInput(
                f"parameter {self.parameter}: {value:g} is no {self.scale} of a number that "
                "can be written"
            ) from error


def _kind(data: Any) -> str:  # Any: unchecked outside data
    return "of-study" if isinstance(data, dict | Parameter) else "the-same"


ParameterOrValue = Annotated[
    Annotated[Parameter, Tag("of-study")] | Annotated[Scalar, Tag("the-same")],
    Discriminator(_kind),
]


class ParameterMapping(Declared):
    """See the module.

    Args:
        name: Of the file.
        steps: Length of each run, which says whether a start was forgotten; ``None`` if unknown.
        settings: Hyperparameter of ``latent_sgd`` -> the study's parameter, or what all had.
        only: Parameter of the study -> its value in the trials that are meant; all if empty.
    """

    name: StrictStr = "mapping"
    steps: Annotated[StrictInt, Field(ge=1, le=10_000_000)] | None = unless_none()
    settings: dict[str, ParameterOrValue]
    only: dict[str, Scalar] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> "ParameterMapping":
        for name in self.settings:
            if name not in RULES[RULE]:
                raise UnknownName(f"hyperparameter of {RULE}", name, RULES[RULE])
        if "learning_rate" not in self.settings:
            raise InvalidInput("settings: needs learning_rate, the parameter or its value")
        return self

    @property
    def parameters(self) -> set[str]:
        """The study's parameters that it names."""
        searched = {
            each.parameter for each in self.settings.values() if isinstance(each, Parameter)
        }
        return searched | self.only.keys()

    @property
    def unsaid(self) -> str:
        """Which hyperparameters it leaves to their defaults, and what that is; empty if none."""
        rule = RULES[RULE]
        taken = [f"{name} {rule[name].default}" for name in _UNSAID if name not in self.settings]
        return ", ".join(taken).lower()

    def check(self, record: StudyRecord) -> None:
        """Refuse a study that lacks a parameter, or has one that the mapping should name.

        Raises:
            InvalidInput: If no trial has it, names those that there are; or if the mapping leaves
                out a parameter that is called as a hyperparameter of the rule is.
        """
        known = dict.fromkeys(name for trial in record.trials for name in trial.params)
        for name, wanted in self.settings.items():
            if isinstance(wanted, Parameter) and wanted.parameter not in known:
                raise InvalidInput(
                    f"mapping of {name}: study {record.name!r} has no parameter "
                    f"{wanted.parameter!r} (it has {', '.join(map(printable, known)) or 'none'}); "
                    "name it in --mapping FILE"
                )
        for name in self.only:
            if name not in known:
                raise InvalidInput(
                    f"mapping, only: study {record.name!r} has no parameter {name!r} (it has "
                    f"{', '.join(map(printable, known)) or 'none'}); leave it out"
                )
        left_out = [n for n in known if n in RULES[RULE] and n not in self.parameters]
        if left_out := [name for name in left_out if name not in self.settings]:
            raise InvalidInput(
                f"mapping: study {record.name!r} has {', '.join(left_out)}, which {RULE} has too, "
                "and the mapping does not say what becomes of it; name it in --mapping FILE"
            )

    def of(self, trial: FrozenTrial) -> dict[str, Setting]:
        """The trial's settings of ``latent_sgd``, in full.

        Raises:
            InvalidInput: If the trial lacks a parameter, or a value is out of range.
        """
        for name, meant in self.only.items():
            if trial.params.get(name) != meant:
                has = printable(str(trial.params.get(name, "not there")))
                raise InvalidInput(f"its {name} is {has}, and the mapping is of {meant} only")
        found: dict[str, Setting] = {}
        for name, wanted in self.settings.items():
            if not isinstance(wanted, Parameter):
                found[name] = wanted
            elif wanted.parameter in trial.params:
                found[name] = wanted.of(trial.params[wanted.parameter])
            elif wanted.otherwise is not None:
                found[name] = wanted.otherwise
            else:
                raise InvalidInput(
                    f"it has no parameter {wanted.parameter!r}; say as `otherwise` in --mapping "
                    f"FILE what its {name} was"
                )
        return complete(RULE, found)


def read_mapping(path: Path) -> ParameterMapping:
    """The mapping that a file declares.

    Raises:
        InvalidInput: If the file is missing or breaks a rule.
    """
    return read_toml(ParameterMapping, path)


def guessed(record: StudyRecord) -> ParameterMapping:
    """The mapping of a study whose parameters are called as ours are, or with ``log10_`` before.

    Raises:
        InvalidInput: If it has no learning rate; a mapping is to be given then.
    """
    known = dict.fromkeys(name for trial in record.trials for name in trial.params)
    found: dict[str, Parameter | Scalar] = {}
    for name in RULES[RULE]:
        for called, (start, written) in product((name, *_CALLED.get(name, ())), _STARTS):
            if f"{start}{called}" in known:
                found[name] = Parameter(parameter=f"{start}{called}", scale=written)
                break
    if "learning_rate" not in found:
        raise InvalidInput(
            f"study {record.name!r}: has no parameter learning_rate, lr, log10_learning_rate or "
            f"log10_lr (it has {', '.join(map(printable, known)) or 'none'}); say by --mapping "
            "FILE what its parameters are"
        )
    return ParameterMapping(settings=found)
