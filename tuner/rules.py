"""The update rules' hyperparameters: names, legal values, defaults.

Plain data without torch: the search spaces, the spec files and the command line check against it,
and ``tuner.optim`` builds from it. A new rule is one entry here and one class in ``tuner.optim``.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

from tuner.errors import InvalidInput, UnknownName

Setting = float | str | bool
DECAYS = ("constant", "linear", "cosine", "step")


@dataclass(frozen=True)
class Number:
    """A real hyperparameter and its legal interval, each end open or closed."""

    default: float
    low: float = 0.0
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def check(self, where: str, value: Setting) -> float:
        """The value as a float, or InvalidInput naming ``where``, the interval and the value."""
        if not isinstance(value, bool) and isinstance(value, int | float):
            above = value > self.low if self.open_low else value >= self.low
            below = value < self.high if self.open_high else value <= self.high
            if above and below:
                with suppress(OverflowError):  # a whole number beyond all floats
                    return float(value)
        raise InvalidInput(f"{where} must be in {self}, got {value!r}")

    def __str__(self) -> str:
        return f"{'(' if self.open_low else '['}{self.low:g}, {self.high:g}" + (
            ")" if self.open_high or self.high == math.inf else "]"
        )


@dataclass(frozen=True)
class Whole:
    """A hyperparameter that counts something: a whole number between two bounds, both legal."""

    default: int
    low: int
    high: int

    def check(self, where: str, value: Setting) -> int:
        """The value as an int, or InvalidInput naming ``where``, the bounds and the value."""
        if not isinstance(value, bool) and isinstance(value, int | float):
            if self.low <= value <= self.high and float(value).is_integer():
                return int(value)
        raise InvalidInput(
            f"{where} must be a whole number from {self.low} to {self.high}, got {value!r}"
        )


@dataclass(frozen=True)
class Choice:
    """A hyperparameter that takes one of a few values."""

    default: Setting
    choices: tuple[Setting, ...]

    def check(self, where: str, value: Setting) -> Setting:
        """The value, or InvalidInput naming ``where`` and the choices."""
        for choice in self.choices:
            if type(choice) is type(value) and choice == value:
                return choice
        listed = ", ".join(str(choice).lower() for choice in self.choices)
        raise InvalidInput(f"{where} must be one of {listed}, got {value!r}")


Hyperparameter = Number | Whole | Choice

_DECAY = Choice("constant", DECAYS)
_SWITCH = Choice(False, (False, True))
_LATENT: dict[str, Hyperparameter] = {
    "learning_rate": Number(0.1, open_low=True, open_high=True),
    "learning_rate_decay": _DECAY,
    "weight_decay": Number(0.0, open_high=True),
    "init_scale": Number(1.0, open_low=True, open_high=True),
    "clip": Number(math.inf, open_low=True),
    "scaling": _SWITCH,
}
_ADAM: dict[str, Hyperparameter] = {
    **_LATENT,
    "learning_rate": Number(1e-3, open_low=True, open_high=True),
    "beta1": Number(0.9, high=1, open_high=True),
    "beta2": Number(0.999, high=1, open_high=True),
}

_SIGNED: dict[str, Hyperparameter] = {
    **_LATENT,
    "learning_rate": Number(1e-2, open_low=True, open_high=True),
    "momentum": Number(0.9, high=1, open_high=True),
}
_LION: dict[str, Hyperparameter] = {
    **_LATENT,
    "learning_rate": Number(1e-4, open_low=True, open_high=True),
    "beta1": Number(0.9, high=1, open_high=True),
    "beta2": Number(0.99, high=1, open_high=True),
}
_BOP_2ND_ORDER: dict[str, Hyperparameter] = {
    "gamma": Number(1e-6, high=1, open_low=True),
    "sigma": Number(1e-2, high=1, open_low=True),
    "tau": Number(1e-6, open_high=True),
}
_SGDAT: dict[str, Hyperparameter] = {
    "learning_rate": Number(1e-4, open_low=True, open_high=True),
    "learning_rate_decay": _DECAY,
    "threshold": Number(1e-7, open_high=True),
}
_BAYES_BINN: dict[str, Hyperparameter] = {
    "learning_rate": Number(1e-4, high=1, open_low=True),
    "learning_rate_decay": _DECAY,
    "momentum": Number(0.0, high=1, open_high=True),
    "init": Number(10.0, open_low=True, open_high=True),
    "train_set_size": Number(50_000, low=1, open_high=True),
}
_TARGET_FLIP_RATIO: dict[str, Hyperparameter] = {
    "flip_ratio": Number(1e-2, high=1, open_low=True),
    "flip_ratio_decay": _DECAY,
    "feedback": Number(0.1, high=1),
}

FAMILIES = ("ema", "butterworth", "bessel", "chebyshev1", "moving_average", "damped")
"""Kinds of low-pass filters that are designed by order and memory."""

OWN = "own"
"""In a rule's place: the settings are what the user's objective makes of them."""

RULES: Mapping[str, Mapping[str, Hyperparameter]] = MappingProxyType(
    {
        "filter_flip": {
            "alpha": Number(1e-3, high=1, open_low=True),
            "gamma": Number(1.0, high=1, open_low=True),
            "alpha_decay": _DECAY,
        },
        "designed_filter": {
            "family": Choice("ema", FAMILIES),
            "order": Whole(2, 1, 4),
            "memory": Number(1e3, high=1e9, open_low=True),
            "memory_unit": Choice("steps", ("steps", "runs")),
            "damping": Number(1.0, low=0.05, high=10),
            "cutoff_decay": _DECAY,
        },
        "latent_sgd": {
            **_LATENT,
            "momentum": Number(0.0, high=1, open_high=True),
            "coupled": _SWITCH,
            "nesterov": _SWITCH,
            "dampening": Number(0.0, high=1),
        },
        "latent_adam": _ADAM,
        "latent_adamw": _ADAM,
        "latent_signsgd": _SIGNED,
        "latent_lion": _LION,
        "bop2nd_order": _BOP_2ND_ORDER,
        "sgdat": _SGDAT,
        "bayes_binn": _BAYES_BINN,
        "target_flip_ratio": _TARGET_FLIP_RATIO,
        "bop": {
            "gamma": Number(1e-4, high=1, open_low=True),
            "tau": Number(1e-8, open_high=True),
        },
    }
)
"""Rule name -> hyperparameter name -> legal values and default."""


def complete(rule: str, settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """The settings checked against the rule, with defaults for what they leave out.

    Args:
        rule: A name in ``RULES``.
        settings: Hyperparameter name -> value.

    Raises:
        UnknownName: If the rule or a hyperparameter does not exist.
        InvalidInput: If a value is outside its legal range; NaN always is.
    """
    if rule not in RULES:
        raise UnknownName("update rule", rule, RULES)
    known = RULES[rule]
    for name in settings:
        if name not in known:
            raise UnknownName(f"hyperparameter of {rule}", name, known)
    full = {
        name: kind.check(f"{rule}.{name}", settings.get(name, kind.default))
        for name, kind in known.items()
    }
    refuse_together(rule, full)
    return full


def refuse_together(rule: str, full: Mapping[str, Setting]) -> None:
    """Refuse settings, all of a rule's, of which each is legal and that do not go together.

    Raises:
        InvalidInput: Saying which, and what to change.
    """
    if full.get("memory_unit") == "steps" and not float(full["memory"]) >= 1:
        raise InvalidInput(
            f"{rule}.memory must be at least 1 step, got {full['memory']}; a share of the run "
            'takes memory_unit="runs"'
        )
    if not full.get("coupled", True) and (full["nesterov"] or full["dampening"]):
        raise InvalidInput(
            "latent_sgd: nesterov and dampening exist in torch's coupled form only; "
            "set coupled=true, or leave them out"
        )
    if full.get("nesterov") and (full["dampening"] or not full["momentum"]):
        raise InvalidInput(
            "latent_sgd: nesterov needs momentum > 0 and dampening 0, got "
            f"momentum={full['momentum']} and dampening={full['dampening']}"
        )
