"""The layers of a network that could be done by signs, and what their speed depends on."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from tuner.bnn.data.dataset import load_data
from tuner.bnn.layers import Conv2d, Linear
from tuner.bnn.models import build_network
from tuner.bnn.own_network import seeded, try_out
from tuner.train.batches import Batches
from tuner.train.memory import check_memory
from tuner.workload import Workload


@dataclass(frozen=True)
class Convolution:
    """A binary 3x3 convolution as one trial has it."""

    images: int
    channels: int
    outputs: int
    height: int
    width: int
    stride: int
    dtype: str


@dataclass(frozen=True)
class Product:
    """A binary fully connected layer as one trial has it.

    Args:
        samples: N.
        features: C.
        outputs: O.
        dtype: Of activations and weights.
        last: Whether it gives logits, float32 at least.
    """

    samples: int
    features: int
    outputs: int
    dtype: str
    last: bool

    @property
    def trials(self) -> int:
        """About as many as are trained together: of a small network many."""
        return max(1, min(16, 2**16 // (self.features * self.outputs)))


@dataclass(frozen=True)
class Layers:
    """The layers of a network, in order; ``None`` for one whose inputs are no signs."""

    convolutions: tuple[Convolution | None, ...]
    products: tuple[Product | None, ...]


def sign_convolutions(network: nn.Module) -> list[Conv2d]:
    """The convolutions of a network that could be done by signs, in order."""
    return [
        layer
        for layer in network.modules()
        if isinstance(layer, Conv2d)
        and "weight" in layer.binary_names
        and layer.weight.shape[-1] == 3
        and layer.stride in (1, 2)
    ]


def sign_products(network: nn.Module) -> list[Linear]:
    """The fully connected layers of a network that could be done by signs, in order."""
    return [
        layer
        for layer in network.modules()
        if isinstance(layer, Linear) and "weight" in layer.binary_names
    ]


@cache
def layers_of(workload: Workload, dtype: str) -> Layers:
    """The sizes of a workload's layers in a batch; learned by passing two samples through.

    Args:
        workload: Names network and data.
        dtype: Of the activations, as torch calls it.

    Raises:
        InvalidInput: If data and network do not fit each other.
        DataMissing: If the data set is not there.
        torch.OutOfMemoryError: If this machine's memory cannot hold the network.
    """
    data = load_data(workload)
    check_memory(workload, data.shape, data.n_classes, n_trials=1, device=torch.device("cpu"))
    network = build_network(workload, data.shape, data.n_classes, [0]).eval()
    convolutions, products = sign_convolutions(network), sign_products(network)
    if not convolutions and not products:
        return Layers((), ())
    found: dict[nn.Module, Tensor] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.setdefault(layer, inputs[0].detach())

    for layer in (*convolutions, *products):
        layer.register_forward_pre_hook(note)
    batches = Batches(data, workload, dtype=torch.float32)
    if workload.own_model:
        with seeded(0):
            try_out(network, batches.few(1), data.known_classes, workload)
    else:  # what the samples are matters only where the first layer is binary
        samples = batches.few(1) if workload.binary_ends else torch.zeros(1, 2, *data.shape)
        with torch.no_grad():
            network(samples)
    size = workload.batch_size
    return Layers(
        tuple(_convolution(each, found.get(each), size, dtype) for each in convolutions),
        tuple(_product(each, found.get(each), size, dtype) for each in products),
    )


def _convolution(layer: Conv2d, x: Tensor | None, images: int, dtype: str) -> Convolution | None:
    if x is None or x.dim() != 4 or not _signs(x):
        return None
    _, outputs, channels = layer.weight.shape[:3]
    height, width = x.shape[2:]
    return Convolution(images, channels, outputs, height, width, layer.stride, dtype)


def _product(layer: Linear, x: Tensor | None, samples: int, dtype: str) -> Product | None:
    if x is None or x.dim() != 3 or not _signs(x):
        return None
    _, outputs, features = layer.weight.shape
    samples *= max(
        1, x.shape[1] // 2
    )  # a network of the user's may have several rows for a sample
    return Product(samples, features, outputs, dtype, layer.last)


def _signs(x: Tensor) -> bool:
    return bool((x.abs() == 1).all())
