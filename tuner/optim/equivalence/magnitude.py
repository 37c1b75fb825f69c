"""The magnitude parametrization as plain numbers: its settings, its symmetry, its invariants.

Multiplying learning rate, initial weights and clip by k and dividing weight decay by k multiplies
every latent weight by k and leaves every sign alone: one of the seven knobs is always redundant.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from tuner.errors import InvalidInput
from tuner.rules import Setting, complete


def require(holds: bool, place: str, rule: str, value: object) -> None:
    """Refuse a value in one line that names the place, the rule and the value."""
    if not holds:
        raise InvalidInput(f"{place}: {rule}, got {value}")


@dataclass(frozen=True, kw_only=True)
class Magnitude:
    """Settings of latent SGD: the seven magnitude knobs and which SGD it is.

    Decoupled: m = mu m + (1 - mu) g;  w = (1 - eta lambda) w - eta m
    Coupled (torch.optim.SGD): m = mu m + (1 - dampening)(g + lambda w);  w = w - eta m

    Args:
        learning_rate: eta, positive and finite.
        weight_decay: lambda, at least 0 and finite.
        momentum: mu, in [0, 1).
        init_scale: Bound on the initial latent weights |w0|, positive and finite.
        clip: Bound that the latent weights are clipped to, positive; inf for none.
        scaling: Whether the forward pass multiplies the signs by mean|w| per channel.
        learning_rate_decay: constant, linear, cosine or step.
        coupled: Whether weight decay goes through the momentum buffer, as in torch.optim.SGD.
        nesterov: Nesterov momentum; coupled only, with momentum and without dampening.
        dampening: torch.optim.SGD's, in [0, 1]; coupled only.

    Raises:
        InvalidInput: If a value is outside its range or a combination does not exist.
    """

    learning_rate: float
    weight_decay: float = 0.0
    momentum: float = 0.0
    init_scale: float = 1.0
    clip: float = math.inf
    scaling: bool = False
    learning_rate_decay: str = "constant"
    coupled: bool = False
    nesterov: bool = False
    dampening: float = 0.0

    def __post_init__(self) -> None:
        complete("latent_sgd", asdict(self))

    @classmethod
    def from_settings(cls, settings: Mapping[str, Setting]) -> "Magnitude":
        """Settings of rule ``latent_sgd`` as they lie in a trial; absent ones take defaults."""
        full = complete("latent_sgd", settings)
        return cls(**full)  # type: ignore[arg-type]  # complete() has checked every value

    @property
    def input_gain(self) -> float:
        """What the momentum buffer multiplies the gradient with at first: 1 - dampening.

        torch.optim.SGD ignores dampening when there is no momentum.
        """
        return 1 - self.dampening if self.momentum > 0 else 1.0

    @property
    def product(self) -> float:
        """The one number that learning rate and weight decay make: eta lambda (1 - dampening)."""
        return self.learning_rate * self.weight_decay * self.input_gain


@dataclass(frozen=True)
class Invariants:
    """What the signs of latent SGD depend on, whatever the scale of its weights.

    In units where weight decay is 1, or the initial scale is 1 where there is no weight decay.

    Args:
        rate: eta lambda (eta / w0 without weight decay).
        start: w0 lambda (1 without weight decay); with scaling w0 sqrt(lambda).
        clip: clip lambda (clip / w0 without weight decay); with scaling clip sqrt(lambda).
        momentum: mu.
    """

    rate: float
    start: float
    clip: float
    momentum: float


def rescale(magnitude: Magnitude, k: float) -> Magnitude:
    """The same training, its latent weights k times as large.

    eta, w0, clip -> k eta, k w0, k clip;  lambda -> lambda / k
    With mean|w| scaling (batch norm with eps 0 after it): eta -> k^2 eta, lambda -> lambda / k^2.
    Bit-identical signs for k a power of two, equal in real arithmetic for any k.

    Args:
        magnitude: Any settings.
        k: Positive and finite.

    Raises:
        InvalidInput: If k is not positive and finite.
    """
    require(0 < k < math.inf, "rescale", "k must be positive and finite", k)
    rate = k * k if magnitude.scaling else k
    return replace(
        magnitude,
        learning_rate=rate * magnitude.learning_rate,
        weight_decay=magnitude.weight_decay / rate,
        init_scale=k * magnitude.init_scale,
        clip=k * magnitude.clip,
    )


def canonical(magnitude: Magnitude) -> Magnitude:
    """The member of the equivalence class with weight decay 1, so that s = -w.

    Without weight decay it is the member with initial scale 1. Two settings give the same signs
    under every gradient sequence if their canonical members are equal (up to rounding).
    """
    decay = magnitude.weight_decay
    if decay == 0:
        return rescale(magnitude, 1 / magnitude.init_scale)
    return rescale(magnitude, math.sqrt(decay) if magnitude.scaling else decay)


def invariants(magnitude: Magnitude) -> Invariants:
    """What ``rescale`` leaves alone: the canonical member's own numbers."""
    member = canonical(magnitude)
    return Invariants(
        rate=member.learning_rate,
        start=member.init_scale,
        clip=member.clip,
        momentum=member.momentum,
    )
