"""A graph's steps as nodes of ONNX, in the standard's own operators.

Weights that are binary lie in the file as bits, which nodes of the graph unpack. A sign is +1 at
both zeros, as in training: ONNX's own ``Sign`` is 0 there. What training rounds to bfloat16 is
rounded to it, where the graph is of that precision, and computed in float32.
"""

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tuner.graphs.files import library
from tuner.graphs.graph import INPUT, Graph, Step
from tuner.graphs.running import shapes
from tuner.graphs.weights import packed

Array = npt.NDArray[Any]  # Any: numbers of any type

_ROUNDED = (
    *("shift", "product", "linear", "conv", "norm", "own_norm", "norm_add_sign"),
    *("move", "leaky", "add", "multiply", "mean", "adaptive_mean", "avg_pool"),
)
"""Kinds of steps whose first output is rounded to the type of the activations."""

_POOLS = ("own_max_pool", "max_pool")


class Nodes:
    """The nodes of a graph and the numbers that they take.

    Args:
        graph: The network.

    Attributes:
        nodes: Of ONNX, in order.
        numbers: Name -> what stands in the file.
        shapes: Value -> its shape for a single sample.
        domains: Operators beside the standard's -> their version.
    """

    domains: dict[str, int] = {}  # noqa: RUF012  # never changed

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Any] = []
        self.numbers: dict[str, Array] = {}
        self.shapes = shapes(graph)
        self.narrows = graph.precision == "bfloat16"
        self._wide: set[str] = set()
        for step in graph.steps:
            self._add(step)

    def _add(self, step: Step) -> None:
        """Add the nodes of a step, and round what it gives as training does."""
        kind, (output, *others) = step.kind, step.outputs
        inputs = tuple(self._first() if each == INPUT else each for each in step.inputs)
        wide = step.options.get("last") or not self._wide.isdisjoint(step.inputs)
        if wide:
            self._wide.add(output)
        if not self.narrows or wide or kind not in _ROUNDED or self._is_compared(output):
            KINDS[kind](self, replace(step, inputs=inputs))
            return
        exact = f"{output}.exact"
        KINDS[kind](self, replace(step, inputs=inputs, outputs=(exact, *others)))
        self.narrow(exact, output)

    def _first(self) -> str:
        """The samples as a step takes them: as they come, or rounded."""
        if self.graph.bytes_in or not self.narrows:
            return INPUT
        if f"{INPUT}.narrow" not in {node.output[0] for node in self.nodes}:
            self.shapes[f"{INPUT}.narrow"] = self.shapes[INPUT]
            self.narrow(INPUT, f"{INPUT}.narrow")
        return f"{INPUT}.narrow"

    def _is_compared(self, value: str) -> bool:
        """Whether a value is only compared with whole numbers, which are for exact sums too."""
        users = self.graph.users(value)
        return bool(users) and all(
            step.kind == "threshold"
            or (step.kind in _POOLS and self._is_compared(step.outputs[0]))
            for step in users
        )

    def narrow(self, value: str, output: str) -> None:
        """Round a value to bfloat16, and go on in float32."""
        types = library("onnx").TensorProto
        self.emit("Cast", [value], f"{output}.narrow", to=types.BFLOAT16)
        self.emit("Cast", [f"{output}.narrow"], output, to=types.FLOAT)

    def narrowed(self, tensor: Tensor) -> Array:
        """Numbers that training rounds to bfloat16, so rounded where it does."""
        narrow = tensor.to(torch.bfloat16) if self.narrows else tensor
        return narrow.to(torch.float32).numpy()

    def emit(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node; returns its output."""
        make = library("onnx.helper").make_node
        self.nodes.append(make(op, inputs, [output], name=f"{output}:{op}", **attributes))
        return output

    def number(self, name: str, value: Any, dtype: Any = np.float32) -> str:  # Any: numpy's
        """Put numbers into the file; returns their name."""
        self.numbers[name] = np.asarray(value, dtype=dtype)
        return name

    def real(self, step: Step, role: str) -> str:
        """A tensor of the step that is not binary, as float32; returns its name."""
        name = step.tensors[role]
        return self.number(name, self.graph.tensors[name].numpy())

    def weight(self, step: Step, *, transposed: bool) -> str:
        """The step's weights, float32; returns their name."""
        name = step.tensors["weight"]
        values = self.graph.tensors[name]
        if transposed:
            values = values.T.contiguous()
        if name not in self.graph.binary:
            last = step.options.get("last")
            return self.number(name, values.numpy() if last else self.narrowed(values))
        signs = self.unpacked(name, packed(values).numpy(), tuple(values.shape))
        return self.binary_weight(step, name, signs, transposed=transposed)

    def unpacked(self, name: str, bits: Array, shape: tuple[int, ...]) -> str:
        """Nodes that unpack bits, the first in the highest, into float32 signs of a shape."""
        shifts = self.number("bit.shifts", np.arange(7, -1, -1), np.uint8)
        base = self.number("bit.base", 2, np.uint8)
        self.number(f"{name}.bits", bits[:, None], np.uint8)
        shifted = self.emit("BitShift", [f"{name}.bits", shifts], f"{name}.a", direction="RIGHT")
        bit = self.emit("Mod", [shifted, base], f"{name}.b")
        values = self.emit("Cast", [bit], f"{name}.c", to=library("onnx").TensorProto.FLOAT)
        doubled = self.emit("Mul", [values, self.number("two", 2)], f"{name}.d")
        signs = self.emit("Sub", [doubled, self.number("one", 1)], f"{name}.e")
        if (n := prod(shape)) % 8:
            flat = self.emit("Reshape", [signs, self.number("flat", [-1], np.int64)], f"{name}.f")
            start = self.number("start", [0], np.int64)
            signs = self.emit(
                "Slice", [flat, start, self.number(f"{name}.end", [n], np.int64)], f"{name}.g"
            )
        return self.emit(
            "Reshape", [signs, self.number(f"{name}.shape", shape, np.int64)], f"{name}.signs"
        )

    def binary_weight(self, step: Step, name: str, signs: str, *, transposed: bool) -> str:
        """Signs as the layer multiplies with them: times its scale, if it has one."""
        if "scale" not in step.tensors:
            return signs
        return self.emit("Mul", [signs, self.scale(step, transposed=transposed)], name)

    def scale(self, step: Step, *, transposed: bool) -> str:
        """The scale of a layer's output channels, as it is multiplied with the weights."""
        name = step.tensors["scale"]
        rank = self.graph.tensors[step.tensors["weight"]].dim()
        shape = (1, -1) if transposed else (-1, *(1,) * (rank - 1))
        return self.number(name, self.graph.tensors[name].numpy().reshape(shape))

    def samples(self) -> str:
        """The samples as float32."""
        if not self.graph.bytes_in:
            return INPUT
        return self.emit("Cast", [INPUT], "numbers", to=library("onnx").TensorProto.FLOAT)

    def sign(self, x: str, output: str) -> None:
        """+1 where x >= 0, both zeros among it, and -1 elsewhere."""
        reached = self.emit("GreaterOrEqual", [x, self.number("zero", 0)], f"{output}.reached")
        self.choose(reached, output)

    def choose(self, reached: str, output: str) -> None:
        """+1 where it is true and -1 elsewhere."""
        ones = self.number("one", 1), self.number("minus.one", -1)
        self.emit("Where", [reached, *ones], output)

    def threshold(self, step: Step) -> None:
        """Sums against whole numbers."""
        (x,), (output,) = step.inputs, step.outputs
        cast = self.emit("Cast", [x], f"{output}.sum", to=library("onnx").TensorProto.INT32)
        level, direction = (
            self.along(x, self.graph.tensors[step.tensors[role]].numpy())
            for role in ("threshold", "direction")
        )
        if (direction != 1).any():
            turns = self.number(step.tensors["direction"], direction, np.int32)
            cast = self.emit("Mul", [cast, turns], f"{output}.turned")
        levels = self.number(step.tensors["threshold"], level, np.int32)
        self.choose(self.emit("GreaterOrEqual", [cast, levels], f"{output}.reached"), output)

    def along(self, value: str, numbers: Array) -> Array:
        """[C] numbers, shaped so that they go along the channels of a value."""
        return numbers.reshape(-1, *(1,) * (len(self.shapes[value]) - 2))


def _shift(nodes: Nodes, step: Step) -> None:
    values = nodes.samples() if step.inputs == (INPUT,) else step.inputs[0]
    scale, shift = (
        nodes.number(name, nodes.narrowed(nodes.graph.tensors[name]))
        for name in (step.tensors["scale"], step.tensors["shift"])
    )
    scaled = nodes.emit("Mul", [values, scale], f"{step.outputs[0]}.scaled")
    if nodes.narrows:
        nodes.narrow(scaled, scaled := f"{step.outputs[0]}.rounded")
    nodes.emit("Add", [scaled, shift], step.outputs[0])


def _linear(nodes: Nodes, step: Step) -> None:
    (output,) = step.outputs
    inputs = [step.inputs[0], nodes.weight(step, transposed=True)]
    if "bias" not in step.tensors:
        nodes.emit("MatMul", inputs, output)
        return
    product = nodes.emit("MatMul", inputs, f"{output}.product")
    nodes.emit("Add", [product, nodes.real(step, "bias")], output)


def _conv(nodes: Nodes, step: Step) -> None:
    options: Any = step.options
    bias = [nodes.real(step, "bias")] if "bias" in step.tensors else []
    nodes.emit(
        "Conv",
        [step.inputs[0], nodes.weight(step, transposed=False), *bias],
        step.outputs[0],
        kernel_shape=list(nodes.graph.tensors[step.tensors["weight"]].shape[2:]),
        strides=options["stride"],
        pads=options["padding"] * 2,
        dilations=options["dilation"],
        group=options["groups"],
    )


def _normed(nodes: Nodes, step: Step, output: str) -> str:
    numbers = [nodes.real(step, role) for role in ("weight", "bias", "mean", "var")]
    eps = step.options["eps"]
    return nodes.emit("BatchNormalization", [step.inputs[0], *numbers], output, epsilon=eps)


def _norm_sign(nodes: Nodes, step: Step) -> None:
    (output,) = step.outputs
    nodes.sign(_normed(nodes, step, f"{output}.norm"), output)


def _norm_add_sign(nodes: Nodes, step: Step) -> None:
    total, signs = step.outputs
    shortcut = step.inputs[1:]
    if shortcut:
        normed = _normed(nodes, step, f"{total}.norm")
        nodes.emit("Add", [normed, *shortcut], total)
    else:
        _normed(nodes, step, total)
    if nodes.graph.users(signs):
        nodes.sign(total, signs)


def _max_pool(nodes: Nodes, step: Step) -> None:
    options: Any = step.options or {
        "kernel_size": [2, 2],
        "stride": [2, 2],
        "padding": [0, 0],
        "dilation": [1, 1],
        "ceil_mode": False,
    }
    nodes.emit(
        "MaxPool",
        list(step.inputs),
        step.outputs[0],
        kernel_shape=options["kernel_size"],
        strides=options["stride"],
        pads=options["padding"] * 2,
        dilations=options["dilation"],
        ceil_mode=int(options["ceil_mode"]),
    )


def _avg_pool(nodes: Nodes, step: Step) -> None:
    options: Any = step.options
    nodes.emit(
        "AveragePool",
        list(step.inputs),
        step.outputs[0],
        kernel_shape=options["kernel_size"],
        strides=options["stride"],
        ceil_mode=int(options["ceil_mode"]),
    )


def _flatten(nodes: Nodes, step: Step) -> None:
    start: Any = step.options["start"]
    shape = nodes.number(f"flat.{start}", [0] * start + [-1], np.int64)
    nodes.emit("Reshape", [step.inputs[0], shape], step.outputs[0])


def _clip(nodes: Nodes, step: Step) -> None:
    ends = nodes.number("minus.one", -1), nodes.number("one", 1)
    nodes.emit("Clip", [step.inputs[0], *ends], step.outputs[0])


def _by_channels(op: str, role: str) -> Callable[[Nodes, Step], None]:
    """An operator that takes a number of each channel, rounded as training rounds it."""

    def emit(nodes: Nodes, step: Step) -> None:
        name = step.tensors[role]
        numbers = nodes.along(step.inputs[0], nodes.narrowed(nodes.graph.tensors[name]))
        nodes.emit(op, [step.inputs[0], nodes.number(name, numbers)], step.outputs[0])

    return emit


def _twice(nodes: Nodes, step: Step) -> None:
    # Not Concat: qonnx's cleanup loses a value that one node takes twice.
    repeats = nodes.number("twice.channels", [1, 2, 1, 1], np.int64)
    nodes.emit("Tile", [step.inputs[0], repeats], step.outputs[0])


def _multiply(nodes: Nodes, step: Step) -> None:
    factor = nodes.number(f"{step.outputs[0]}.factor", step.options["factor"])
    nodes.emit("Mul", [step.inputs[0], factor], step.outputs[0])


def _plain(op: str, **attributes: Any) -> Callable[[Nodes, Step], None]:
    def emit(nodes: Nodes, step: Step) -> None:
        nodes.emit(op, list(step.inputs), step.outputs[0], **attributes)

    return emit


KINDS: dict[str, Callable[[Nodes, Step], None]] = {
    "shift": _shift,
    "product": _linear,
    "linear": _linear,
    "conv": _conv,
    "channels_last": _plain("Identity"),
    "move": _by_channels("Sub", "shift"),
    "leaky": _by_channels("PRelu", "slope"),
    "twice": _twice,
    "norm": lambda nodes, step: (_normed(nodes, step, step.outputs[0]), None)[1],
    "own_norm": lambda nodes, step: (_normed(nodes, step, step.outputs[0]), None)[1],
    "norm_sign": _norm_sign,
    "norm_add_sign": _norm_add_sign,
    "threshold": lambda nodes, step: nodes.threshold(step),
    "multiply": _multiply,
    "flatten": _flatten,
    "sign": lambda nodes, step: nodes.sign(step.inputs[0], step.outputs[0]),
    "add": _plain("Add"),
    "relu": _plain("Relu"),
    "hardtanh": _clip,
    "mean": _plain("ReduceMean", axes=[2, 3], keepdims=0),
    "adaptive_mean": _plain("GlobalAveragePool"),
    "own_max_pool": _max_pool,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
}
"""How each kind of step is done; the same kinds as ``running.KINDS``."""
