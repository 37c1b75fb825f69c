"""Distributions and values in pickles and in print, of Optuna 1 to the one in use."""

import ast
import json
from collections.abc import Mapping

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tuner.search.foreign.exports.cells import Setting
from tuner.search.foreign.exports.inert import Inert

_FLOAT = ("FloatDistribution", "UniformDistribution", "DiscreteUniformDistribution")
_LOG_FLOAT = "LogUniformDistribution"
_INT = ("IntDistribution", "IntUniformDistribution")
_LOG_INT = "IntLogUniformDistribution"
_BOUNDS = ("low", "high", "q")
_TUPLES = {"CategoricalDistribution": ("choices",)}


def distribution_of(kept: object) -> BaseDistribution:
    """A distribution as the Optuna in use has it.

    Raises:
        ValueError: If it is of no class of Optuna's, or has no bounds.
    """
    if not isinstance(kept, Inert):
        raise ValueError(f"a distribution is a {type(kept).__name__}")
    name = type(kept).__name__
    if kept.args and not kept.fields:  # a tuple, before Optuna 0.10
        kept.fields |= dict(zip(_TUPLES.get(name, _BOUNDS), kept.args, strict=False))
    return _made(name, {str(field): value for field, value in kept.fields.items()})


def printed_distribution(text: str) -> BaseDistribution | None:
    """The distribution that was printed; None where it is none, or was cut off. Nothing is run."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            return None
        fields = {field.arg or "": ast.literal_eval(field.value) for field in call.keywords}
        return _made(call.func.id, fields)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _made(name: str, fields: Mapping[str, object]) -> BaseDistribution:
    """The distribution of a class of Optuna's, of whatever version."""
    if name == "CategoricalDistribution":
        choices = fields.get("choices")
        if not isinstance(choices, list | tuple) or not choices:
            raise ValueError("a categorical distribution has no choices")
        return CategoricalDistribution([setting_of(each) for each in choices])
    low, high = fields.get("low"), fields.get("high")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        raise ValueError(f"the distribution {name} has no bounds")
    step = fields.get("step", fields.get("q"))
    log = fields.get("log") is True
    if name in _FLOAT or name == _LOG_FLOAT:
        width = float(step) if isinstance(step, int | float) else None
        return FloatDistribution(float(low), float(high), log or name == _LOG_FLOAT, width)
    if name in _INT or name == _LOG_INT:
        width = int(step) if isinstance(step, int | float) else 1
        return IntDistribution(int(low), int(high), log or name == _LOG_INT, width)
    raise ValueError(f"the distribution {name} is not known")


def setting_of(value: object) -> Setting:
    """A value of a parameter, or one that it may have; lists and objects as their text."""
    kept = plain(value)
    if kept is None or isinstance(kept, bool | int | float | str):
        return kept
    return json.dumps(kept, sort_keys=True, default=repr)


def plain(value: object) -> object:
    """A value without objects of other classes: their words in their place."""
    if isinstance(value, Inert):
        return value.words
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, tuple):
        return tuple(plain(each) for each in value)
    return value
