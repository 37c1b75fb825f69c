"""How binary convolutions are done: the way that is fastest on this machine.

Each shape of layer is timed once, all ways in turns, and the answer is kept in the cache folder,
so that all workers of a machine, now and later, do it alike.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache

import torch
from torch import Tensor, nn

from tuner import kernels
from tuner.bnn.data.dataset import load_data
from tuner.bnn.layers import Conv2d
from tuner.bnn.models import build_network
from tuner.bnn.own_network import seeded, try_out
from tuner.bnn.sign_conv import Way, trusted
from tuner.machine import instruction_line
from tuner.measured import measured_once
from tuner.train.batches import Batches
from tuner.train.threads import one_thread
from tuner.workload import Workload

_GAIN = 1.25
"""So much faster must be what torch does less of: alone, a layer finds its memory in the caches.

Within a training step, layers that had gained a tenth when timed alone made it slower.
"""

_ROUNDS = 7
_MEASURE_SECONDS = 1.0


@dataclass(frozen=True)
class Layer:
    """A binary 3x3 convolution as one trial has it: what its speed depends on."""

    images: int
    channels: int
    outputs: int
    height: int
    width: int
    stride: int
    dtype: str


def sign_convolutions(network: nn.Module) -> list[Conv2d]:
    """The layers of a network that could be done by signs, in order."""
    return [
        layer
        for layer in network.modules()
        if isinstance(layer, Conv2d)
        and "weight" in layer.binary_names
        and layer.weight.shape[-1] == 3
        and layer.stride in (1, 2)
    ]


def ways(workload: Workload, device: torch.device, dtype: torch.dtype) -> tuple[Way, ...]:
    """How each of a workload's ``sign_convolutions`` is done.

    Gradients are rounded to int16 only if the workload's precision is ``auto``. Two layers of one
    shape are done alike.

    Args:
        workload: What is trained.
        device: Where; elsewhere than on a CPU torch does all.
        dtype: Of the activations.

    Raises:
        InvalidInput: If data and network do not fit each other.
        DataMissing: If the data set is not there.
    """
    layers = _layers(workload, str(dtype).removeprefix("torch."))
    compiled = kernels.suffix(dtype) is not None and kernels.library() is not None
    if not layers or device.type != "cpu" or not compiled or not trusted():
        return (Way.TORCH,) * len(layers)
    allowed = list(Way) if workload.precision == "auto" else [Way.TORCH, Way.FORWARD]
    return tuple(_fastest(allowed, _seconds(layer)) for layer in layers)


def in_words(chosen: tuple[Way, ...]) -> str:
    """How the convolutions are done, as a trial's record says it."""
    if len(set(chosen)) == 1:
        return str(chosen[0])
    numbers = {
        way: ", ".join(str(number) for number, its in enumerate(chosen, start=1) if its is way)
        for way in Way
    }
    return "; ".join(f"{which} {way}" for way, which in numbers.items() if which)


def apply(network: nn.Module, chosen: tuple[Way, ...]) -> None:
    """Have the network's ``sign_convolutions`` done as ``ways`` says."""
    for layer, way in zip(sign_convolutions(network), chosen, strict=True):
        layer.way = way


def _fastest(allowed: list[Way], seconds: Mapping[Way, float]) -> Way:
    best = Way.TORCH
    for way in allowed:
        if _GAIN * seconds[way] < seconds[best]:
            best = way
    return best


@cache
def _layers(workload: Workload, dtype: str) -> tuple[Layer, ...]:
    """The sizes of a workload's ``sign_convolutions``; learned by passing two images through."""
    if workload.model == "mlp":
        return ()
    data = load_data(workload)
    network = build_network(workload, data.shape, data.n_classes, [0]).eval()
    layers = sign_convolutions(network)
    if not layers:
        return ()
    found: list[Layer] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, Conv2d)
        _, outputs, channels = layer.weight.shape[:3]
        height, width = inputs[0].shape[2:]
        found.append(
            Layer(workload.batch_size, channels, outputs, height, width, layer.stride, dtype)
        )

    for layer in layers:
        layer.register_forward_pre_hook(note)
    samples = Batches(data, workload, dtype=torch.float32).few(1)
    if workload.own_model:
        with seeded(0):
            try_out(network, samples, data.known_classes, workload)
    else:
        with torch.no_grad():
            network(samples)
    return tuple(found)


@cache
def _seconds(layer: Layer) -> Mapping[Way, float]:
    """How long a step of the layer takes each way: as kept, or measured now."""
    about = {
        "layer": asdict(layer),
        "processor": instruction_line(),
        "torch": torch.__version__,
        "torch uses": torch.backends.cpu.get_cpu_capability(),
        "onednn": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        "kernels": kernels.identity(),
    }

    def measure() -> dict[str, object]:
        with one_thread():
            return {"seconds": _measure(layer)}

    return measured_once("convolution", about, measure, _of_ways)


def _measure(layer: Layer) -> dict[Way, float]:
    """Processor seconds of a step each way: the least of several, taken in turns."""
    generator = torch.Generator().manual_seed(0)

    def signs(*shape: int) -> Tensor:
        drawn = torch.rand(shape, generator=generator)
        return torch.where(drawn < 0.5, 1.0, -1.0).to(getattr(torch, layer.dtype))

    conv = Conv2d(1, layer.channels, layer.outputs, stride=layer.stride, binary=True)
    conv.weight.data = signs(*conv.weight.shape)
    x = signs(layer.images, layer.channels, layer.height, layer.width)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    gradient = torch.randn_like(conv(x).detach())
    least = dict.fromkeys(Way, float("inf"))
    spent, rounds = 0.0, 0
    while rounds < 3 or (rounds < _ROUNDS and spent < _MEASURE_SECONDS):
        for way in Way:
            conv.way = way
            began = time.process_time()
            torch.autograd.grad(conv(x), (x, conv.weight), gradient)
            seconds = time.process_time() - began
            spent += seconds
            if rounds:  # the first warms up
                least[way] = min(least[way], seconds)
        rounds += 1
    return least


def _of_ways(answer: Mapping[str, Mapping[str, float]]) -> dict[Way, float]:
    seconds = {way: float(answer["seconds"][way]) for way in Way}
    if not all(value > 0 for value in seconds.values()):
        raise ValueError(f"not seconds: {seconds}")
    return seconds
