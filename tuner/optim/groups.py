"""Hyperparameters in parameter groups, as torch's optimizers have them: names, ranges, shapes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.rules import RULES, Hyperparameter, Number

Value = float | Tensor
"""A hyperparameter: one float, or a tensor of shape [K], one per trial."""

Group = dict[str, Any]

_SWITCHES = ("scaling", "coupled", "nesterov")

_OF_OTHERS = {
    "params",
    "param_names",
    "name",
    "step_count",
    "initial_lr",
    "max_lr",
    "min_lr",
    "swa_lr",
    "lr_scale",
    "base_momentum",
    "max_momentum",
}
"""What torch, its schedulers and common training scripts keep in a group."""


_OF_RULES = frozenset(name for known in RULES.values() for name in known) | {"eps"}
"""The hyperparameters of all rules; ``eps``, of Adam's, is not searched."""

MATRICES = ("slots", "design")
"""Keys in a group whose value is of shape [S, C], or [K, S, C] with one entry per trial."""


@dataclass(frozen=True)
class Known:
    """The hyperparameters that a group of one update rule holds.

    Args:
        rule: A name in ``tuner.rules``, whose ranges hold.
        driven: The one that lies under ``lr``, the key that torch's schedulers drive.
        more: Those that ``tuner.rules`` does not have.
        without: Those of ``tuner.rules`` that are left out.
        for_all: Those that are the same for all trials.
    """

    rule: str
    driven: str
    more: Mapping[str, Hyperparameter] = field(default_factory=dict)
    without: Sequence[str] = ()
    for_all: Sequence[str] = ()

    @cached_property
    def kinds(self) -> dict[str, Hyperparameter]:
        """Key in a group -> what is legal there; how something decays is no part of it."""
        known = {**RULES[self.rule], **self.more}
        return {
            "lr" if name == self.driven else name: kind
            for name, kind in known.items()
            if name not in self.without and (isinstance(kind, Number) or name in _SWITCHES)
        }

    @cached_property
    def of_others(self) -> frozenset[str]:
        """The hyperparameters of other rules alone."""
        return _OF_RULES - {*self.kinds, self.driven}

    def given(self, group: Group, owner: str) -> Group:
        """The group with ``lr`` in place of the name that the rule has for it.

        Raises:
            InvalidInput: If both names are there, or a number under a name that is none of both
                the rule's and its surroundings'.
        """
        found = dict(group)
        for name, value in group.items():
            if (
                name in (*self.kinds, *_OF_OTHERS, *MATRICES, self.driven)
                and name not in self.without
            ):
                continue
            if isinstance(value, int | float | Tensor | np.generic):
                legal = [f"lr ({self.driven})", *(key for key in self.kinds if key != "lr")]
                raise InvalidInput(
                    f"{owner}: a parameter group has {name}, which is no hyperparameter of this "
                    f"rule; choose from {', '.join(legal)}"
                )
        if self.driven in found:
            found["lr"] = either(owner, self.driven, found.pop(self.driven), found.get("lr"))
        return found

    def checked(self, key: str, value: Any, *, first: bool) -> Any:
        """The value as a step takes it: a float, a bool, or a tensor of shape [] or [K].

        Args:
            key: In a group.
            value: Of any number type.
            first: Whether the user gives it; a scheduler may bring ``lr`` down to 0 later.

        Raises:
            InvalidInput: If it is no number, has another shape, or lies out of range.
        """
        where = f"{self.rule}.{self.driven if key == 'lr' else key}"
        kind = self.kinds[key]
        if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
            value = value.item()
        if not isinstance(value, Tensor):
            return self._legal(where, kind, value, may_be_zero=key == "lr" and not first)
        if value.dim() > 1 or key in self.for_all:
            shapes = "one number" if key in self.for_all else "a number, or a tensor of shape [K]"
            raise InvalidInput(f"{where} must be {shapes}, got shape {list(value.shape)}")
        for number in value.flatten().tolist():
            self._legal(where, kind, number, may_be_zero=key == "lr" and not first)
        return value

    @staticmethod
    def _legal(where: str, kind: Hyperparameter, value: Any, *, may_be_zero: bool) -> Any:
        if may_be_zero and not isinstance(value, bool) and value == 0:
            return 0.0
        return kind.check(where, value)


def either(owner: str, driven: str, value: Any, lr: Any) -> Any:
    """The one of two names for a hyperparameter that was given, or None.

    Raises:
        InvalidInput: If both were.
    """
    if value is not None and lr is not None:
        raise InvalidInput(
            f"{owner}: {driven} and lr are two names of one hyperparameter; give one of them"
        )
    return lr if value is None else value


def along_trials(key: str, value: object) -> bool:
    """Whether what lies under this key has one entry per trial."""
    return isinstance(value, Tensor) and value.dim() == (3 if key in MATRICES else 1)


def any_along_trials(group: Group) -> bool:
    """Whether a hyperparameter of the group has one value per trial."""
    return any(along_trials(key, value) for key, value in group.items() if key != "params")


def keep_trials(group: Group, keep: Tensor) -> None:
    """Keep only the hyperparameters of the trials at these positions, shape [k]."""
    for key, value in group.items():
        if along_trials(key, value):
            group[key] = value[keep.to(value.device)]


def fits_rows(group: Group, owner: str) -> None:
    """Refuse hyperparameters per trial of which there are more or fewer than a parameter has rows.

    Raises:
        InvalidInput: If so, with both numbers.
    """
    for key, value in group.items():
        if key == "params" or not along_trials(key, value):
            continue
        for param in group["params"]:
            if param.dim() == 0 or len(param) != len(value):
                raise InvalidInput(
                    f"{owner}: {key} has {len(value)} values, one per trial, but there is a "
                    f"parameter of shape {list(param.shape)}, whose leading axis is not that long"
                )
