"""Ranges of logged parameters: as drawn from, else those that span the values seen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tuner.search.foreign.exports.cells import Setting


@dataclass(frozen=True)
class Spanned:
    """The parameters of some trials, and what spans them.

    Args:
        params: Of each trial; a parameter that is a float anywhere is one everywhere.
        distributions: Of every parameter that has a value in any trial.
    """

    params: tuple[dict[str, Setting], ...]
    distributions: Mapping[str, BaseDistribution]


def drawn(
    params: Mapping[str, Setting], distributions: Mapping[str, BaseDistribution]
) -> dict[str, Setting] | None:
    """What was drawn from the distributions, among parameters that were logged as text.

    None where one of them has no value, or one that is not of its kind.
    """
    values: dict[str, Setting] = {}
    for name, kind in distributions.items():
        logged = params.get(name)
        if isinstance(kind, CategoricalDistribution):
            same = [choice for choice in kind.choices if str(choice) == str(logged)]
            if not same:
                return None
            values[name] = same[0]
        elif not isinstance(logged, int | float):
            return None
        else:
            values[name] = int(logged) if isinstance(kind, IntDistribution) else float(logged)
    return values


def spanned(params: Sequence[Mapping[str, Setting]]) -> Spanned:
    """The parameters with distributions that span the values seen in any of the trials."""
    seen: dict[str, dict[tuple[type, Setting], None]] = {}
    for each in params:
        for name, value in each.items():
            seen.setdefault(name, {})[type(value), value] = None
    spans = {name: _span([value for _, value in values]) for name, values in seen.items()}
    floats = {name for name, span in spans.items() if isinstance(span, FloatDistribution)}
    return Spanned(
        params=tuple(
            {name: _float(value) if name in floats else value for name, value in each.items()}
            for each in params
        ),
        distributions=spans,
    )


def _span(values: Sequence[Setting]) -> BaseDistribution:
    numbers = _numbers(values)
    if len(numbers) < len(values):
        return CategoricalDistribution(values)
    if any(isinstance(number, float) for number in numbers):
        return FloatDistribution(float(min(numbers)), float(max(numbers)))
    return IntDistribution(int(min(numbers)), int(max(numbers)))


def _numbers(values: Iterable[Setting]) -> list[int | float]:
    return [
        value for value in values if isinstance(value, int | float) and not isinstance(value, bool)
    ]


def _float(value: Setting) -> Setting:
    return float(value) if isinstance(value, int) else value
