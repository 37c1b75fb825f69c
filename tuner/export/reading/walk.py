"""What was read of a network so far: the steps, the numbers, and which value is which."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain, count

import torch
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.graphs.graph import Option, Step
from tuner.graphs.weights import split

PROBE = torch.tensor([-5.0, -1.0, -0.3, -0.0, 0.0, 0.3, 1.0, 5.0])
"""What tells a sign from other functions."""


class Value(str):
    """The name of a value that depends on the samples."""


@dataclass
class Walk:
    """What was read so far.

    Args:
        trials: Whether the network has a trial axis, of one trial.
        marked: Numbers (``id``) of the parameters that are to be binary.
    """

    trials: bool
    marked: Collection[int]
    steps: list[Step] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    binary: set[str] = field(default_factory=set)

    def step(
        self,
        kind: str,
        inputs: list[str],
        output: str,
        tensors: Mapping[str, str] | None = None,
        **options: Option,
    ) -> str:
        """Add a step that gives one value; returns that, under another name if it is taken."""
        return self.steps_giving(kind, inputs, [output], tensors, **options)[0]

    def steps_giving(
        self,
        kind: str,
        inputs: list[str],
        outputs: list[str],
        tensors: Mapping[str, str] | None = None,
        **options: Option,
    ) -> tuple[str, ...]:
        """Add a step that gives several values; see ``step``."""
        taken = {name for step in self.steps for name in step.outputs}
        fresh = []
        for output in outputs:
            numbered = (f"{output}.{number}" for number in count(2))
            fresh.append(next(n for n in chain([output], numbered) if n not in taken))
        self.steps.append(Step(kind, tuple(inputs), tuple(fresh), tensors or {}, options))
        return tuple(fresh)

    def real(self, name: str, numbers: Tensor) -> str:
        """Add numbers; returns their name."""
        wide = numbers.detach().cpu()
        self.tensors[name] = wide.to(torch.promote_types(wide.dtype, torch.float32)).contiguous()
        return name

    def weight(
        self, name: str, weight: Tensor, bias: Tensor | None, *, binary: bool
    ) -> dict[str, str]:
        """Add a layer's weights, binary ones as signs and scale; returns roles and names.

        Args:
            name: Of the layer.
            weight: As the layer multiplies with it, [O, ...].
            bias: [O], if it has one.
            binary: Whether the weights are to be binary.

        Raises:
            InvalidInput: If they are to be, and are not.
        """
        called = f"{name}.weight"
        roles = {"weight": called}
        if bias is not None:
            roles["bias"] = self.real(f"{name}.bias", bias)
        if not binary:
            self.real(called, weight)
            return roles
        self.tensors[called], scale = split(weight, called)
        self.binary.add(called)
        if scale is not None:
            roles["scale"] = self.real(f"{name}.scale", scale)
        return roles

    def norm(self, name: str, *numbers: Tensor) -> dict[str, str]:
        """Add a batch norm's weight, bias, mean and variance, [C]; returns roles and names."""
        roles = ("weight", "bias", "mean", "var")
        return {
            role: self.real(f"{name}.{role}", each)
            for role, each in zip(roles, numbers, strict=True)
        }


def refused(what: str) -> InvalidInput:
    """The error for a network that cannot be exported."""
    return InvalidInput(f"export: {what}")
