"""Functions and methods of tensors that can be exported, each read into a step."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from tuner.bnn.layers import side_by_side, trials_first, twice
from tuner.bnn.normsign import max_pool, sign_ste
from tuner.export.reading.walk import Value, Walk, refused

OWN = (side_by_side, trials_first, twice, max_pool)
"""Functions of our networks that are steps, whatever they are made of."""

Read = Callable[..., str]
"""Takes the walk, the output's name and what the function takes, values by their names."""


def _plain(kind: str) -> Read:
    def read(walk: Walk, name: str, x: str, *rest: Any, **more: Any) -> str:
        if rest or more:
            raise refused(f"{name}: {kind} with further arguments")
        return walk.step(kind, [x], name)

    return read


def _add(walk: Walk, name: str, a: Any, b: Any, **more: Any) -> str:
    if more or not (isinstance(a, Value) and isinstance(b, Value)):
        raise refused(f"{name}: adds other than two values of the network")
    return walk.step("add", [a, b], name)


def _flatten(
    walk: Walk, name: str, x: str, start_dim: int = 0, end_dim: int = -1, *, trials: bool = False
) -> str:
    start = start_dim - trials
    if start < 1 or end_dim != -1:
        raise refused(f"{name}: flattens other axes than those from one to the last")
    return walk.step("flatten", [x], name, start=start)


def _mean(walk: Walk, name: str, x: str, dim: Any = None, **more: Any) -> str:
    if more or (dim is not None and [d % 4 for d in dim] != [2, 3]) or dim is None:
        raise refused(f"{name}: the mean over other axes than height and width")
    return walk.step("mean", [x], name)


def _reshape(walk: Walk, name: str, x: str, *sizes: Any) -> str:
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = tuple(sizes[0])
    if len(sizes) != 2 or sizes[1] != -1 or not isinstance(sizes[0], Size):
        raise refused(f"{name}: reshapes; only x.view(x.size(0), -1), or flatten, can be exported")
    return walk.step("flatten", [x], name, start=1)


class Size:
    """The shape of a value, or a number of it."""


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _avg_pool(
    walk: Walk,
    name: str,
    x: str,
    kernel_size: Any,
    stride: Any = None,
    *,
    ceil_mode: bool = False,
    **more: Any,
) -> str:
    if more:
        raise refused(f"{name}: avg_pool2d with {', '.join(more)}")
    kernel = _pair(kernel_size)
    steps = kernel if stride is None else _pair(stride)
    options: dict[str, Any] = {"kernel_size": kernel, "stride": steps, "ceil_mode": ceil_mode}
    return walk.step("avg_pool", [x], name, **options)


def _max_pool(
    walk: Walk,
    name: str,
    x: str,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> str:
    if return_indices:
        raise refused(f"{name}: returns indices; leave return_indices out")
    kernel = _pair(kernel_size)
    options: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": kernel if stride is None else _pair(stride),
        "padding": _pair(padding),
        "dilation": _pair(dilation),
        "ceil_mode": ceil_mode,
    }
    return walk.step("max_pool", [x], name, **options)


def _clamped(walk: Walk, name: str, x: str, low: Any = -1.0, high: Any = 1.0) -> str:
    if (low, high) != (-1, 1):
        raise refused(f"{name}: clips to other than -1 and 1")
    return walk.step("hardtanh", [x], name)


FUNCTIONS: dict[Any, Read] = {
    side_by_side: _plain("channels_last"),
    trials_first: lambda walk, name, x, _k: walk.step("flatten", [x], name, start=1),
    twice: lambda walk, name, x, _k: walk.step("twice", [x], name),
    max_pool: _plain("own_max_pool"),
    sign_ste: _plain("sign"),
    operator.add: _add,
    operator.iadd: _add,
    torch.add: _add,
    torch.flatten: _flatten,
    torch.mean: _mean,
    torch.relu: _plain("relu"),
    F.relu: lambda walk, name, x, inplace=False: walk.step("relu", [x], name),  # noqa: ARG005
    F.hardtanh: _clamped,
    torch.clamp: _clamped,
    F.avg_pool2d: _avg_pool,
    F.max_pool2d: _max_pool,
}
METHODS: dict[str, Read] = {
    "add": _add,
    "flatten": _flatten,
    "mean": _mean,
    "relu": _plain("relu"),
    "clamp": _clamped,
    "view": _reshape,
    "reshape": _reshape,
}
