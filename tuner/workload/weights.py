"""How many weights a network of this software has, from its declaration: nothing is built."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from math import prod
from types import MappingProxyType

from tuner.workload.workload import Workload


def n_weights(workload: Workload, shape: Sequence[int], n_classes: int) -> int:
    """Numbers that a trial of the workload trains, in a network of this software.

    Args:
        workload: Names the model, one of ``MODELS``, and its widths.
        shape: Of one sample; of an image channels, height, width.
        n_classes: Number of classes.
    """
    return _COUNTS[workload.model](workload, shape, n_classes)


def least_weights(workload: Workload) -> int:
    """The same without the data: it has at least so many; 0 of a network of the user's."""
    if workload.own_model:
        return 0
    return n_weights(workload, (1, *(workload.image or (1, 1))), 1)


def _mlp(workload: Workload, shape: Sequence[int], n_classes: int) -> int:
    sizes = [prod(shape), *workload.layer_widths]
    hidden = sum(a * b + _NORM * b for a, b in pairwise(sizes))
    return hidden + _last(workload, sizes[-1], n_classes)


def _cnn(workload: Workload, shape: Sequence[int], n_classes: int) -> int:
    widths = workload.layer_widths
    pools = len(widths) // 2
    n_last = widths[-1] * (shape[1] >> pools) * (shape[2] >> pools)
    convolutions = sum(9 * a * b + _NORM * b for a, b in pairwise([shape[0], *widths]))
    return convolutions + _last(workload, n_last, n_classes)


def _bireal(
    workload: Workload, shape: Sequence[int], n_classes: int, *, blocks: int, stem: int
) -> int:
    widths = workload.layer_widths
    total = stem * stem * shape[0] * widths[0] + _NORM * widths[0]
    for stage, (before, width) in enumerate(pairwise([widths[0], *widths])):
        total += 9 * before * width + (blocks - 1) * 9 * width * width + blocks * _NORM * width
        if stage:  # the shortcut of a stage that halves the image
            total += before * width + _NORM * width
    return total + _last(workload, widths[-1], n_classes)


def _reactnet(workload: Workload, shape: Sequence[int], n_classes: int) -> int:
    widths = workload.layer_widths
    total = 9 * shape[0] * widths[0] + _NORM * widths[0]
    for a, b in pairwise(widths):
        total += 9 * a * a + a * b + (_SIGN + _NORM + _ACT) * a + _SIGN * a + (_NORM + _ACT) * b
    return total + _last(workload, widths[-1], n_classes)


def _last(workload: Workload, n_in: int, n_classes: int) -> int:
    """The last layer, with a bias, or where it is binary a batch norm behind it."""
    return n_in * n_classes + (_NORM if workload.binary_ends else 1) * n_classes


_NORM, _SIGN, _ACT = 2, 1, 3
"""Numbers of a channel in a batch norm, an ``RSign`` and an ``RPReLU``."""

_COUNTS: Mapping[str, Callable[[Workload, Sequence[int], int], int]] = MappingProxyType(
    {
        "mlp": _mlp,
        "cnn": _cnn,
        "bireal_resnet20": partial(_bireal, blocks=6, stem=3),
        "bireal_resnet18": partial(_bireal, blocks=4, stem=7),
        "reactnet": _reactnet,
        "reactnet_a": _reactnet,
    }
)
