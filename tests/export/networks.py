"""Networks as training leaves them, without training: signs, and batch norms of any numbers."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuner.bnn import binarize, binary, binary_parameters, sign_ste
from tuner.bnn.layers import BatchNorm, RPReLU, RSign
from tuner.bnn.models import build_network
from tuner.export.reading.walking import Samples
from tuner.optim import FilterFlip
from tuner.workload import Workload

OURS = (
    ("mlp", (70, 33), False),
    ("mlp", (70, 33), True),
    ("cnn", (6, 5, 7, 6), False),
    ("cnn", (6, 5, 7, 6), True),
    ("bireal_resnet20", (4, 6), False),
    ("bireal_resnet18", (4, 6, 8), False),
    ("reactnet", (3, 6, 6, 12), False),
)
"""Model, widths, whether the ends are binary too."""

SHAPE = (3, 16, 16)


def settled(network: nn.Module, samples: Tensor | None = None) -> nn.Module:
    """The network, its binary weights signs and its batch norms as after some training.

    Args:
        network: Any.
        samples: What its batch norms have seen, as it takes them.
    """
    generator = torch.Generator().manual_seed(7)
    FilterFlip(binary_parameters(network), alpha=0.1)
    for layer in network.modules():
        if isinstance(layer, BatchNorm | nn.BatchNorm1d | nn.BatchNorm2d):
            layer.weight.data.normal_(generator=generator)
            layer.bias.data.normal_(generator=generator).mul_(0.3)
        elif isinstance(layer, RSign | RPReLU):
            for param in layer.parameters():
                param.data.normal_(generator=generator).mul_(0.3)
    if samples is not None:
        with torch.no_grad():
            for _ in range(30):
                network.train()(samples)
    return network.eval()


def ours(model: str, widths: tuple[int, ...], binary_ends: bool) -> nn.Module:
    """A network of this software's, of a single trial."""
    workload = Workload(model=model, widths=widths, binary_ends=binary_ends)
    scale, shift = samples().scale, samples().shift
    return settled(build_network(workload, SHAPE, 5, [3]), (images() * scale + shift)[None])


def images(n: int = 40) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, *SHAPE), generator=generator, dtype=torch.uint8)


def noise(n: int = 40) -> Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(2))


def samples(precision: str = "float32") -> Samples:
    """What such a network takes: bytes, scaled."""
    scale = torch.tensor([0.013, 0.011, 0.017]).view(-1, 1, 1)
    return Samples(SHAPE, scale, torch.tensor([-1.1, -0.7, -1.3]).view(-1, 1, 1), precision)


class Signed(nn.Module):
    """A layer that somebody wrote: signs of its inputs, and its weight as it is."""

    binary_names = ("weight",)

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, channels, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(sign_ste(x), self.weight, stride=2, padding=1)


class Residual(nn.Module):
    """Functions, a shared module, a shortcut, and a shape that is read."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.body = Signed(8, 8)
        self.body_norm = nn.BatchNorm2d(8)
        self.clip = nn.Hardtanh()
        self.last = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.clip(self.norm(self.stem(x)))
        around = F.avg_pool2d(x, 2)
        x = self.clip(self.body_norm(self.body(x)) + around)
        x = F.max_pool2d(torch.relu(x), 2)
        return self.last(x.mean((2, 3)).view(x.size(0), -1))


class Quantiser(nn.Module):
    """As Brevitas's: knows its width in bits, gives signs times a constant."""

    is_quant_enabled = True

    def __init__(self, bits: int, scale: float) -> None:
        super().__init__()
        self.bits, self.scale = bits, scale

    def bit_width(self) -> Tensor:
        return torch.tensor(float(self.bits))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x >= 0, self.scale, -self.scale)


class QuantLinear(nn.Linear):
    """As Brevitas's."""

    def __init__(self, n_in: int, n_out: int, *, bits: int = 1) -> None:
        super().__init__(n_in, n_out)
        self.weight_quant = Quantiser(bits, 0.1)

    def quant_weight(self) -> Tensor:
        return self.weight_quant(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.quant_weight(), self.bias) * (1 if x.sum() < 1e9 else 2)


class QuantIdentity(nn.Module):
    """As Brevitas's; forward cannot be followed."""

    def __init__(self, act_quant: nn.Module) -> None:
        super().__init__()
        self.act_quant = act_quant
        self.act_quant.is_quant_enabled = True

    def forward(self, x: Tensor) -> Tensor:
        return self.act_quant(x) * (1 if x.sum() < 1e9 else 2)


def quantised() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Flatten(), nn.Linear(768, 24), nn.BatchNorm1d(24), QuantIdentity(Quantiser(1, 0.7))),
        *(QuantLinear(24, 24), nn.BatchNorm1d(24), QuantIdentity(Quantiser(1, 1.0))),
        QuantLinear(24, 5),
    )
    return settled(network, noise())


def binarized(*, activations: bool = True) -> nn.Module:
    """A network of torch's, made binary: its layers scale what they give."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 9, 3, padding=1),
        nn.BatchNorm2d(9),
        nn.ReLU(),
        nn.Conv2d(9, 6, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 10, 3, groups=2),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(10),
        nn.ReLU(),
        nn.Conv2d(10, 7, 1),
        nn.BatchNorm2d(7),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(7, 5),
    )
    return settled(binarize(network, activations=activations), noise())


def marked() -> nn.Module:
    torch.manual_seed(0)
    hidden = binary(nn.Linear(768, 24))
    network = nn.Sequential(nn.Flatten(), hidden, nn.Hardtanh(), nn.Linear(24, 5))
    return settled(network, noise())


def residual() -> nn.Module:
    torch.manual_seed(0)
    return settled(Residual(), noise())


OF_TORCH = {
    "residual": residual,
    "binarized": binarized,
    "binarized weights": lambda: binarized(activations=False),
    "marked": marked,
    "quantised": quantised,
}
"""Networks that others might bring."""
