"""Batch norm and sign as whole numbers: where a layer of signs takes signs, sums are integers.

A batch norm of one number is monotone, also as computers round it. So its sign is a comparison of
the sum with one whole number for each channel, and that number is found by asking the very
operation that training used: nothing is rounded otherwise.

Source: Umuroglu et al. (2017), arXiv:1612.07119.
"""

from collections.abc import Callable
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.graphs.graph import PRECISIONS, Graph, Step
from tuner.graphs.running import KINDS, shapes

Reached = Callable[[Tensor], Tensor]
"""Sums of each channel, int64 [C] -> whether their sign is +1, [C]."""

_LAYERS = ("product", "linear", "conv")
_POOLS = ("own_max_pool", "max_pool")
_SAME_SIGNS = ("flatten", "channels_last", *_POOLS)
_NORMS = ("norm", "own_norm")
_MOST = 2**24
"""Sums of more terms are no exact float32."""


def with_thresholds(graph: Graph) -> Graph:
    """The same network, its batch norms and signs as whole numbers wherever sums are integers.

    Where the layer's weights are +a and -a, the constants go into the numbers, which are found in
    float64: this is then the network without the rounding of such sums.

    Raises:
        InvalidInput: If no sign of the network can be had so.
    """
    ranks = {name: len(shape) for name, shape in shapes(graph).items()}
    steps = list(graph.steps)
    tensors = dict(graph.tensors)
    for signed in graph.steps:
        norm = _norm_of(graph, signed)
        chain = None if norm is None else _sums(graph, norm)
        if norm is None or chain is None:
            continue
        layer = chain[-1]
        n = prod(tensors[layer.tensors["weight"]].shape[1:])
        if {"scale", "bias"} & layer.tensors.keys():
            reached = _scaled(graph, layer, norm)
            bare = {"weight": layer.tensors["weight"]}
            steps[steps.index(layer)] = replace(layer, tensors=bare)
        else:
            reached = _as_trained(graph, norm, signed, ranks[norm.inputs[0]])
        roles = {role: f"{signed.outputs[0]}.{role}" for role in ("threshold", "direction")}
        found = _searched(reached, n, len(tensors[norm.tensors["mean"]]))
        tensors |= dict(zip(roles.values(), found, strict=True))
        steps[steps.index(signed)] = Step("threshold", norm.inputs, signed.outputs, roles)
        if norm is not signed:
            steps.remove(norm)
    if not any(step.kind == "threshold" for step in steps):
        raise InvalidInput(
            "export: no sign of this network is one of a batch norm of integers (a binary layer "
            "that takes signs, then a batch norm, then a sign); leave the thresholds out"
        )
    return graph.with_steps(steps, tensors)


def _norm_of(graph: Graph, step: Step) -> Step | None:
    """The step that normalises what this one takes the sign of, alone."""
    if step.kind == "norm_sign":
        return step
    before = graph.maker(step.inputs[0]) if step.kind == "sign" else None
    alone = before is not None and before.kind in _NORMS and len(graph.users(step.inputs[0])) == 1
    return before if alone else None


def _sums(graph: Graph, norm: Step) -> list[Step] | None:
    """The steps before a norm, back to a binary layer that takes signs; ``None`` if it is other.

    Where the layer scales its sums, nobody else may take them.
    """
    chain: list[Step] = []
    step = graph.maker(norm.inputs[0])
    while step is not None and step.kind in _POOLS:
        chain.append(step)
        step = graph.maker(step.inputs[0])
    if step is None or step.kind not in _LAYERS or not _is_sign(graph, step.inputs[0]):
        return None
    weight = step.tensors["weight"]
    chain.append(step)
    if weight not in graph.binary or prod(graph.tensors[weight].shape[1:]) >= _MOST:
        return None
    scaled = {"scale", "bias"} & step.tensors.keys()
    if scaled and any(len(graph.users(each.outputs[0])) > 1 for each in chain):
        return None
    return chain


def _is_sign(graph: Graph, value: str) -> bool:
    step = graph.maker(value)
    while step is not None and step.kind in _SAME_SIGNS:
        step = graph.maker(step.inputs[0])
    if step is None:
        return False
    if step.kind == "norm_add_sign":
        return value == step.outputs[1]
    return step.kind in ("sign", "norm_sign", "threshold")


def _as_trained(graph: Graph, norm: Step, signed: Step, rank: int) -> Reached:
    """The network's own operations, on sums as its layer gives them."""
    dtype = PRECISIONS[graph.precision]
    tensors = {role: graph.tensors[name] for role, name in norm.tensors.items()}

    def reached(sums: Tensor) -> Tensor:
        x = sums.to(dtype).view(1, -1, *(1,) * (rank - 2))
        (y,) = KINDS[norm.kind](norm, [x], tensors)
        if signed is not norm:
            (y,) = KINDS["sign"](signed, [y], {})
        return y.flatten() > 0

    return reached


def _scaled(graph: Graph, layer: Step, norm: Step) -> Reached:
    """Batch norm of scaled sums, in float64."""
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    of_layer, of_norm = (
        {role: graph.tensors[name].double() for role, name in step.tensors.items()}
        for step in (layer, norm)
    )
    scale, bias = of_layer.get("scale", one), of_layer.get("bias", zero)
    eps = float(norm.options["eps"])
    factor = of_norm["weight"] / (of_norm["var"] + eps).sqrt()
    return lambda sums: (sums * scale + bias - of_norm["mean"]) * factor + of_norm["bias"] >= 0


def _searched(reached: Reached, n: int, channels: int) -> tuple[Tensor, Tensor]:
    """Threshold T and direction d, int32 [C]: sums s of n signs are +1 where d s >= T."""
    ends = torch.full((channels,), n, dtype=torch.int64)
    low, high = reached(-ends), reached(ends)
    direction = torch.where(low & ~high, -1, 1)
    below = torch.where(low & high, -n - 1, -n)  # of those that are +1 throughout: all
    above = torch.where(low | high, ends, n + 1)
    below = torch.where(low | high, below, n)
    while bool((above - below > 1).any()):
        middle = torch.div(above + below, 2, rounding_mode="floor")
        there = reached(direction * middle)
        above = torch.where(there, middle, above)
        below = torch.where(there, below, middle)
    return above.to(torch.int32), direction.to(torch.int32)
