"""ReActNet: a MobileNet of binary convolutions whose signs and rectifiers move by learnt numbers.

Of the published network two things are otherwise: signs have the straight-through gradient of this
room in place of a triangle, and binary weights no scale, which the batch norm behind takes away.
The two 1x1 convolutions that double the channels, each with its batch norm and its shortcut, are
one of twice the outputs around which the shortcut goes twice: the same numbers.

Source: Liu et al. (2020), arXiv:2003.03488.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from tuner.bnn.layers import (
    BatchNorm,
    Conv2d,
    Linear,
    RPReLU,
    RSign,
    side_by_side,
    trials_first,
    twice,
)


class ReActBlock(nn.Module):
    """A binary 3x3 and a binary 1x1 convolution, each after an RSign and with a shortcut around.

    x <- RPReLU(norm(3x3(RSign(x))) + x);    x <- RPReLU(norm(1x1(RSign(x))) + x)

    Where the image is halved, the first shortcut is a mean over 2x2.

    Args:
        n_trials: K.
        channels: C of one trial.
        out_channels: C, or 2C: the second shortcut then goes around twice.
        stride: Of the 3x3 convolution.
    """

    def __init__(self, n_trials: int, channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.sign = RSign(n_trials, channels)
        self.conv = Conv2d(n_trials, channels, channels, stride=stride, binary=True)
        self.norm = BatchNorm(n_trials, channels)
        self.act = RPReLU(n_trials, channels)
        self.point_sign = RSign(n_trials, channels)
        self.point_conv = Conv2d(n_trials, channels, out_channels, size=1, binary=True)
        self.point_norm = BatchNorm(n_trials, out_channels)
        self.point_act = RPReLU(n_trials, out_channels)
        self.stride = stride
        self.doubles = out_channels != channels

    def forward(self, x: Tensor) -> Tensor:
        """[N, K*C, H, W] -> [N, K*O, ceil(H/stride), ceil(W/stride)]."""
        around = x if self.stride == 1 else F.avg_pool2d(x, 2, ceil_mode=True)
        x = self.act(self.norm(self.conv(self.sign(x))) + around)
        around = twice(x, self.norm.weight.shape[0]) if self.doubles else x
        out: Tensor = self.point_act(self.point_norm(self.point_conv(self.point_sign(x))) + around)
        return out


class ReActNet(nn.Module):
    """A real first convolution, blocks, the mean over the image, a real last layer.

    Args:
        n_trials: K.
        shape: One image's shape.
        n_classes: O.
        widths: Channels of the first convolution, then of each block: as many as before, or twice
            as many (``networks.check``). A block that doubles them halves the image, but for the
            first block.
        stride: Of the first convolution.
    """

    def __init__(
        self,
        n_trials: int,
        shape: Sequence[int],
        n_classes: int,
        widths: Sequence[int],
        *,
        stride: int,
    ) -> None:
        super().__init__()
        self.stem = Conv2d(n_trials, shape[0], widths[0], stride=stride, binary=False)
        self.stem_norm = BatchNorm(n_trials, widths[0])
        self.blocks = nn.Sequential(
            *(
                ReActBlock(n_trials, a, b, stride=2 if number and a != b else 1)
                for number, (a, b) in enumerate(pairwise(widths))
            )
        )
        self.last = Linear(n_trials, widths[-1], n_classes, binary=False, last=True)

    def forward(self, images: Tensor) -> Tensor:
        """[K, N, C, H, W] -> [K, N, O]."""
        x = self.blocks(self.stem_norm(self.stem(side_by_side(images))))
        out: Tensor = self.last(trials_first(x.mean((2, 3)), images.shape[0]))
        return out


def reactnet(
    n_trials: int, shape: tuple[int, ...], n_classes: int, widths: Sequence[int]
) -> ReActNet:
    """For images of about 32x32."""
    return ReActNet(n_trials, shape, n_classes, widths, stride=1)


def reactnet_a(
    n_trials: int, shape: tuple[int, ...], n_classes: int, widths: Sequence[int]
) -> ReActNet:
    """For images of about 224x224; at its own widths ReActNet-A, 13 blocks."""
    return ReActNet(n_trials, shape, n_classes, widths, stride=2)
