"""A trained network as data: its steps, one after the other, and their numbers.

All files are written from it and the packed one is read into it, so it holds what they need and
no code: a step is a kind that ``running`` and ``onnx_nodes`` know, names of values, names of
tensors, and plain options.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

Option = Any  # a truth value, a number or a list of whole numbers: JSON's

INPUT = "input"
"""The value that the first step takes."""

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}
"""Types of activations that a network may have been trained in."""


@dataclass(frozen=True)
class Step:
    """One operation.

    Args:
        kind: Which; a name in ``running.KINDS``.
        inputs: The values that it takes.
        outputs: The values that it gives.
        tensors: What a tensor is to it -> the tensor's name in the graph.
        options: Its numbers that are no tensors.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:  # Any: JSON
        """The step as JSON can hold it."""
        return {
            "kind": self.kind,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "tensors": dict(self.tensors),
            "options": dict(self.options),
        }


@dataclass(frozen=True)
class Graph:
    """A network.

    Args:
        shape: Of one sample.
        bytes_in: Whether samples are bytes, as images are; else they are float32.
        steps: In an order in which they can be done; the last one's first output is the logits.
        tensors: Name -> numbers: float32, float64 of a network in that precision, int32 of
            thresholds. Binary ones are +1 and -1.
        binary: Names of the binary ones.
        precision: The type of the activations in training, a name in ``PRECISIONS``.
    """

    shape: tuple[int, ...]
    bytes_in: bool
    steps: tuple[Step, ...]
    tensors: Mapping[str, Tensor]
    binary: frozenset[str]
    precision: str = "float32"

    @property
    def output(self) -> str:
        """The name of the logits."""
        return self.steps[-1].outputs[0]

    @property
    def n_binary(self) -> int:
        """How many binary weights it has."""
        return sum(self.tensors[name].numel() for name in self.binary)

    @property
    def n_real(self) -> int:
        """How many other numbers it has."""
        return sum(t.numel() for t in self.tensors.values()) - self.n_binary

    def users(self, value: str) -> list[Step]:
        """The steps that take a value."""
        return [step for step in self.steps if value in step.inputs]

    def maker(self, value: str) -> Step | None:
        """The step that gives a value; ``None`` for the input."""
        return next((step for step in self.steps if value in step.outputs), None)

    def digest(self) -> str:
        """SHA-256 of shape, steps and numbers, in hexadecimal: the same in every format."""
        about = json.dumps(self.structure(), sort_keys=True)
        known = hashlib.sha256(about.encode())
        for name, tensor in sorted(self.tensors.items()):
            known.update(repr((name, str(tensor.dtype), list(tensor.shape))).encode())
            known.update(tensor.contiguous().numpy().tobytes())
        return known.hexdigest()

    def structure(self) -> dict[str, Any]:  # Any: JSON
        """All but the numbers, as JSON can hold it."""
        return {
            "shape": list(self.shape),
            "bytes_in": self.bytes_in,
            "precision": self.precision,
            "steps": [step.as_json() for step in self.steps],
            "binary": {name: list(self.tensors[name].shape) for name in sorted(self.binary)},
        }

    def with_steps(self, steps: Sequence[Step], tensors: Mapping[str, Tensor]) -> "Graph":
        """The same network by other steps; tensors that none of them names are left out."""
        named = {name for step in steps for name in step.tensors.values()}
        kept = {name: tensor for name, tensor in tensors.items() if name in named}
        return replace(
            self, steps=tuple(steps), tensors=kept, binary=frozenset(self.binary & kept.keys())
        )


def graph_of(structure: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Graph:
    """The graph of which these are ``structure`` and tensors.

    Raises:
        KeyError, TypeError, ValueError: If they are no graph's.
    """
    if structure["precision"] not in PRECISIONS:
        raise ValueError(f"precision {structure['precision']!r} is unknown")
    steps = tuple(
        Step(
            kind=str(step["kind"]),
            inputs=tuple(map(str, step["inputs"])),
            outputs=tuple(map(str, step["outputs"])),
            tensors=dict(step["tensors"]),
            options=dict(step["options"]),
        )
        for step in structure["steps"]
    )
    if not steps:
        raise ValueError("there is no step")
    known = {INPUT}
    for step in steps:
        if lost := [*(set(step.inputs) - known), *(set(step.tensors.values()) - set(tensors))]:
            raise ValueError(f"a step of kind {step.kind} takes {lost[0]}, which is not there")
        known.update(step.outputs)
    return Graph(
        shape=tuple(map(int, structure["shape"])),
        bytes_in=bool(structure["bytes_in"]),
        steps=steps,
        tensors=dict(tensors),
        binary=frozenset(structure["binary"]),
        precision=structure["precision"],
    )
