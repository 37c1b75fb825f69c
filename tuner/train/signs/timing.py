"""How long a layer of signs takes in each way: timed once on a machine, all ways in turns.

The answer is kept in the cache folder, so that all workers, now and later, take the same way.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache, partial

import torch
from torch import Tensor

from tuner import kernels
from tuner.bnn.gradients import gradients
from tuner.bnn.layers import Conv2d, Linear
from tuner.bnn.sign_conv import Way
from tuner.machine import instruction_line
from tuner.measured import measured_once
from tuner.train.signs.sizes import Convolution, Product
from tuner.train.threads import one_thread

Seconds = Mapping[Way, float]
Ways = Mapping[Way, Callable[[], object]]
"""What does the same in each way."""

_ROUNDS = 40
_MEASURE_SECONDS = 0.5


@cache
def step_seconds(layer: Convolution | Product) -> Seconds:
    """How long forward and backward take each way: as kept, or measured now."""
    return _kept(_kind(layer), layer, lambda: _least(_steps(layer)))


@cache
def forward_seconds(layer: Convolution | Product) -> Seconds:
    """How long forward alone takes by torch and by signs: as kept, or measured now."""
    return _kept(f"forward-{_kind(layer)}", layer, lambda: _least(_forwards(layer)))


def _kind(layer: Convolution | Product) -> str:
    return type(layer).__name__.lower()


def _kept(
    kind: str, layer: Convolution | Product, measure: Callable[[], Mapping[Way, float]]
) -> Seconds:
    about = {
        "layer": asdict(layer),
        "processor": instruction_line(),
        "torch": torch.__version__,
        "torch uses": torch.backends.cpu.get_cpu_capability(),
        "onednn": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        "kernels": kernels.identity(),
    }

    def answer() -> dict[str, object]:
        with one_thread():
            return {"seconds": measure()}

    return measured_once(kind, about, answer, _of_ways)


def _steps(layer: Convolution | Product) -> Ways:
    module, x = _made(layer)
    gradient = torch.randn_like(module(x.requires_grad_()).detach())

    def step(way: Way) -> None:
        module.way = way
        gradients(module(x), (x, module.weight), gradient)

    return {way: partial(step, way) for way in Way}


def _forwards(layer: Convolution | Product) -> Ways:
    module, x = _made(layer)

    @torch.no_grad()
    def forward(way: Way) -> None:
        module.way = way
        module(x)

    return {way: partial(forward, way) for way in (Way.TORCH, Way.FORWARD)}


def _made(layer: Convolution | Product) -> tuple[Conv2d | Linear, Tensor]:
    """A layer of such a size, and what it takes."""
    return _product(layer) if isinstance(layer, Product) else _convolution(layer)


def _convolution(layer: Convolution) -> tuple[Conv2d, Tensor]:
    conv = Conv2d(1, layer.channels, layer.outputs, stride=layer.stride, binary=True)
    conv.weight.data = _signs(*conv.weight.shape, dtype=layer.dtype)
    x = _signs(layer.images, layer.channels, layer.height, layer.width, dtype=layer.dtype)
    return conv, x.contiguous(memory_format=torch.channels_last)


def _product(layer: Product) -> tuple[Linear, Tensor]:
    k = layer.trials
    linear = Linear(k, layer.features, layer.outputs, binary=True, last=layer.last)
    linear.weight.data = _signs(*linear.weight.shape, dtype=layer.dtype)
    return linear, _signs(k, layer.samples, layer.features, dtype=layer.dtype)


def _signs(*shape: int, dtype: str) -> Tensor:
    drawn = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return torch.where(drawn < 0.5, 1.0, -1.0).to(getattr(torch, dtype))


def _least(ways: Ways) -> dict[Way, float]:
    """Processor seconds of each way: the least of several, taken in turns."""
    least = dict.fromkeys(ways, float("inf"))
    spent, rounds = 0.0, 0
    while rounds < 3 or (rounds < _ROUNDS and spent < _MEASURE_SECONDS):
        for way, run in ways.items():
            began = time.process_time()
            run()
            seconds = time.process_time() - began
            spent += seconds
            if rounds:  # the first warms up
                least[way] = min(least[way], seconds)
        rounds += 1
    return least


def _of_ways(answer: Mapping[str, Mapping[str, float]]) -> dict[Way, float]:
    seconds = {Way(way): float(value) for way, value in answer["seconds"].items()}
    if Way.TORCH not in seconds or not all(value > 0 for value in seconds.values()):
        raise ValueError(f"not seconds: {seconds}")
    return seconds
