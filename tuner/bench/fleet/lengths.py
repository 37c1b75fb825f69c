"""How long simulated training takes: a distribution, as the command line writes it."""

import math
from dataclasses import dataclass
from random import Random
from statistics import NormalDist

from tuner.errors import InvalidInput

KINDS = {
    "constant": "constant:SECONDS",
    "uniform": "uniform:LEAST,MOST",
    "exponential": "exponential:MEAN",
    "lognormal": "lognormal:MEDIAN,SIGMA",
}


@dataclass(frozen=True)
class Lengths:
    """A distribution of seconds.

    Args:
        kind: Of ``KINDS``.
        numbers: What it takes, in that order.
    """

    kind: str
    numbers: tuple[float, ...]

    @property
    def mean(self) -> float:
        """In seconds."""
        first, *rest = self.numbers
        match self.kind:
            case "uniform":
                return (first + rest[0]) / 2
            case "lognormal":
                return first * math.exp(rest[0] ** 2 / 2)
        return first

    @property
    def longest(self) -> float:
        """In seconds: one draw in a thousand takes longer, or none does."""
        first, *rest = self.numbers
        match self.kind:
            case "uniform":
                return rest[0]
            case "exponential":
                return first * math.log(1000)
            case "lognormal":
                return first * math.exp(rest[0] * NormalDist().inv_cdf(0.999))
        return first

    def draw(self, seed: int) -> float:
        """Seconds of the trial of that seed."""
        chance = Random(seed)
        first, *rest = self.numbers
        match self.kind:
            case "uniform":
                return chance.uniform(first, rest[0])
            case "exponential":
                return chance.expovariate(1 / first)
            case "lognormal":
                return chance.lognormvariate(math.log(first), rest[0])
        return first

    def __str__(self) -> str:
        return f"{self.kind}:{','.join(f'{number:g}' for number in self.numbers)}"


def lengths(text: str) -> Lengths:
    """The distribution of that name and numbers, such as ``lognormal:60,0.5``.

    Raises:
        InvalidInput: If it is none.
    """
    kind, _, rest = text.partition(":")
    wanted = KINDS.get(kind)
    try:
        numbers = tuple(map(float, rest.split(",")))
    except ValueError:
        numbers = ()
    rising = kind != "uniform" or numbers[:1] <= numbers[1:]
    positive = all(0 < number < math.inf for number in numbers)
    if wanted is None or len(numbers) != 1 + wanted.count(",") or not (positive and rising):
        raise InvalidInput(
            f"training: must be one of {', '.join(KINDS.values())}, in seconds above 0, "
            f"got {text!r}"
        )
    return Lengths(kind, numbers)
