"""The networks: first and last layer and batch norm real-valued, all other weights binary.

Each takes images [K, N, C, H, W] and returns logits [K, N, O].
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import prod
from types import MappingProxyType

from torch import Tensor, nn
from torch.nn import functional as F

from tuner.bnn.layers import (
    BatchNorm,
    Conv2d,
    Linear,
    NormAddSign,
    NormSign,
    initialise,
    side_by_side,
    trials_first,
)
from tuner.bnn.normsign import max_pool, sign_ste
from tuner.bnn.own_network import own_network
from tuner.bnn.reactnet import reactnet, reactnet_a
from tuner.errors import InvalidInput
from tuner.workload import Workload
from tuner.workload.networks import check

Shape = tuple[int, ...]
"""Channels, height, width of one image; the mlp takes samples of any shape."""


class MLP(nn.Module):
    """Linear, batch norm, sign; again; then a last linear layer.

    Args:
        n_trials: K.
        shape: One image's shape.
        n_classes: O.
        widths: Hidden widths.
        binary_ends: Whether first and last layer are binary too; the logits then pass a last
            batch norm, which gives them their scale.
    """

    def __init__(
        self,
        n_trials: int,
        shape: Shape,
        n_classes: int,
        widths: Sequence[int],
        *,
        binary_ends: bool,
    ) -> None:
        super().__init__()
        sizes = [prod(shape), *widths]
        self.hidden = nn.ModuleList(
            Linear(n_trials, a, b, binary=binary_ends or i > 0)
            for i, (a, b) in enumerate(pairwise(sizes))
        )
        self.norms = nn.ModuleList(NormSign(n_trials, width) for width in widths)
        self.last = Linear(n_trials, sizes[-1], n_classes, binary=binary_ends, last=True)
        self.last_norm = BatchNorm(n_trials, n_classes) if binary_ends else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """See the module."""
        x = images.flatten(2)
        for linear, norm in zip(self.hidden, self.norms, strict=True):
            x = norm(linear(x))
        out: Tensor = self.last_norm(self.last(x))
        return out


class CNN(nn.Module):
    """3x3 convolutions in pairs (VGG-like): the second of each pair is max-pooled by 2.

    Convolution, [pool], batch norm, sign; again; then one linear layer over all positions.

    Args:
        n_trials: K.
        shape: One image's shape.
        n_classes: O.
        widths: Channels of each convolution.
        binary_ends: As in ``MLP``.
    """

    def __init__(
        self,
        n_trials: int,
        shape: Shape,
        n_classes: int,
        widths: Sequence[int],
        *,
        binary_ends: bool,
    ) -> None:
        super().__init__()
        channels = [shape[0], *widths]
        self.convs = nn.ModuleList(
            Conv2d(n_trials, a, b, binary=binary_ends or i > 0)
            for i, (a, b) in enumerate(pairwise(channels))
        )
        self.norms = nn.ModuleList(NormSign(n_trials, width) for width in widths)
        pools = len(widths) // 2
        n_last = widths[-1] * (shape[1] >> pools) * (shape[2] >> pools)
        self.last = Linear(n_trials, n_last, n_classes, binary=binary_ends, last=True)
        self.last_norm = BatchNorm(n_trials, n_classes) if binary_ends else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """See the module."""
        x = side_by_side(images)
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = conv(x)
            if i % 2:
                x = max_pool(x)
            x = norm(x)
        out: Tensor = self.last_norm(self.last(trials_first(x, images.shape[0])))
        return out


class BiRealBlock(nn.Module):
    """Sign, binary 3x3 convolution, batch norm, plus a real-valued shortcut around the three.

    Where the shape changes, the shortcut is a mean over 2x2, a real 1x1 convolution, batch norm.
    The block takes and returns a real-valued activation and its sign: the sign that the next
    block begins with is taken where the sum is made.

    Source: Liu et al. (2018), arXiv:1808.00278.
    """

    def __init__(self, n_trials: int, channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv = Conv2d(n_trials, channels, out_channels, stride=stride, binary=True)
        self.norm = NormAddSign(n_trials, out_channels)
        self.stride = stride
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels == out_channels
            else nn.Sequential(
                Conv2d(n_trials, channels, out_channels, size=1, binary=False),
                BatchNorm(n_trials, out_channels),
            )
        )

    def forward(self, activation: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """[N, K*C, H, W] -> [N, K*O, ceil(H/stride), ceil(W/stride)], twice."""
        z, signs = activation
        around = z if self.stride == 1 else F.avg_pool2d(z, 2, ceil_mode=True)
        out: tuple[Tensor, Tensor] = self.norm(self.conv(signs), self.shortcut(around))
        return out


class WithSign(nn.Module):
    """A real-valued activation and its sign, as ``BiRealBlock`` takes them."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        return x, sign_ste(x)


class BiRealNet(nn.Module):
    """Residual network of Bi-Real blocks, a real first convolution and a real last layer.

    Args:
        n_trials: K.
        shape: One image's shape.
        n_classes: O.
        widths: Channels of each stage; each stage after the first halves the image.
        blocks: Blocks (one binary convolution each) in a stage.
        stem: The first layers, giving ``widths[0]`` channels and their sign.

    Source: Liu et al. (2018), arXiv:1808.00278.
    """

    def __init__(
        self,
        n_trials: int,
        n_classes: int,
        widths: Sequence[int],
        *,
        blocks: int,
        stem: nn.Module,
    ) -> None:
        super().__init__()
        self.stem = stem
        stages: list[nn.Module] = []
        channels = widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                stages.append(BiRealBlock(n_trials, channels, width, stride=stride))
                channels = width
        self.blocks = nn.Sequential(*stages)
        self.last = Linear(n_trials, channels, n_classes, binary=False, last=True)

    def forward(self, images: Tensor) -> Tensor:
        """See the module."""
        z, _ = self.blocks(self.stem(side_by_side(images)))
        out: Tensor = self.last(trials_first(z.mean((2, 3)), images.shape[0]))
        return out


def bireal_resnet20(
    n_trials: int, shape: Shape, n_classes: int, widths: Sequence[int]
) -> BiRealNet:
    """Three stages of six binary convolutions, for images of about 32x32."""
    stem = nn.Sequential(
        Conv2d(n_trials, shape[0], widths[0], binary=False), NormAddSign(n_trials, widths[0])
    )
    return BiRealNet(n_trials, n_classes, widths, blocks=6, stem=stem)


def bireal_resnet18(
    n_trials: int, shape: Shape, n_classes: int, widths: Sequence[int]
) -> BiRealNet:
    """Four stages of four binary convolutions, for images of about 224x224."""
    stem = nn.Sequential(
        Conv2d(n_trials, shape[0], widths[0], size=7, stride=2, binary=False),
        BatchNorm(n_trials, widths[0]),
        nn.MaxPool2d(3, stride=2, padding=1),
        WithSign(),
    )
    return BiRealNet(n_trials, n_classes, widths, blocks=4, stem=stem)


Builder = Callable[[int, Shape, int, Sequence[int]], nn.Module]
RESIDUAL: Mapping[str, Builder] = MappingProxyType(
    {
        "bireal_resnet20": bireal_resnet20,
        "bireal_resnet18": bireal_resnet18,
        "reactnet": reactnet,
        "reactnet_a": reactnet_a,
    }
)
PLAIN: Mapping[str, type[MLP] | type[CNN]] = MappingProxyType({"mlp": MLP, "cnn": CNN})


def build_network(
    workload: Workload, shape: Shape, n_classes: int, seeds: Sequence[int]
) -> nn.Module:
    """The workload's network for K trials, each initialised from its seed.

    Args:
        workload: Names the model and its widths.
        shape: One sample's shape; of an image channels, height, width.
        n_classes: Number of classes.
        seeds: The K trials' seeds.

    Raises:
        InvalidInput: If the model cannot take such images, or cannot have such widths or ends.
    """
    if workload.own_model:
        return own_network(workload, shape, n_classes, seeds)
    if len(shape) != 3 and workload.model != "mlp":
        raise InvalidInput(
            f"model {workload.model}: takes images (channels, height, width), the data have shape "
            f'{list(shape)}; use mlp, or a network of your own (model = "package.module:function")'
        )
    widths, ends = workload.layer_widths, workload.binary_ends
    image = (shape[1], shape[2]) if len(shape) == 3 else None
    check(workload.model, widths, binary_ends=ends, image=image)
    if workload.model in PLAIN:
        network: nn.Module = PLAIN[workload.model](
            len(seeds), shape, n_classes, widths, binary_ends=ends
        )
    else:
        network = RESIDUAL[workload.model](len(seeds), shape, n_classes, widths)
    initialise(network, list(seeds))
    return network
