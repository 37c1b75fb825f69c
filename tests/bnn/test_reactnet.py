"""ReActNet beside its published form, written down layer by layer in torch's own."""

import pytest
import torch
from torch import Tensor, nn

from tuner.bnn.layers import RPReLU, RSign, initialise
from tuner.bnn.models import build_network
from tuner.bnn.normsign import sign_ste
from tuner.bnn.reactnet import ReActBlock, reactnet_a
from tuner.errors import InvalidInput
from tuner.workload import MODELS, Workload


class Published(nn.Module):
    """The block as its authors wrote it: two 1x1 convolutions side by side double the channels."""

    def __init__(self, block: ReActBlock, channels: int) -> None:
        super().__init__()
        self.block, self.channels = block, channels
        self.pooling = nn.AvgPool2d(2, 2)

    def norm(self, x: Tensor, which: str, part: slice) -> Tensor:
        ours = getattr(self.block, which)
        return nn.functional.batch_norm(
            x, None, None, ours.weight[0, part], ours.bias[0, part], training=True
        )

    def rsign(self, x: Tensor, which: str) -> Tensor:
        return sign_ste(x - getattr(self.block, which).shift[0].view(-1, 1, 1))

    def rprelu(self, x: Tensor, which: str) -> Tensor:
        before, slope, after = (
            p[0].view(-1, 1, 1) for p in getattr(self.block, which).parameters()
        )
        return torch.where(x > before, x - before, slope * (x - before)) - after

    def forward(self, x: Tensor) -> Tensor:
        every = slice(None)
        weight = self.block.conv.weight[0]
        out = nn.functional.conv2d(
            self.rsign(x, "sign"), weight, stride=self.block.stride, padding=1
        )
        around = self.pooling(x) if self.block.stride == 2 else x
        x = self.rprelu(self.norm(out, "norm", every) + around, "act")
        signs, weight = self.rsign(x, "point_sign"), self.block.point_conv.weight[0]
        halves = [
            slice(start, start + self.channels) for start in range(0, len(weight), self.channels)
        ]
        parts = [
            self.norm(nn.functional.conv2d(signs, weight[half]), "point_norm", half) + x
            for half in halves
        ]
        return self.rprelu(torch.cat(parts, 1), "point_act")


@pytest.mark.parametrize(("out_channels", "stride"), [(3, 1), (6, 1), (6, 2)])
def test_a_block_is_the_published_one(out_channels, stride):
    block = ReActBlock(1, 3, out_channels, stride=stride).double()
    initialise(block, [0])
    generator = torch.Generator().manual_seed(1)
    for layer in block.modules():
        if isinstance(layer, RSign | RPReLU):
            for param in layer.parameters():
                param.data.normal_(generator=generator)
    x = torch.randn(4, 3, 6, 6, dtype=torch.float64, generator=generator).requires_grad_()
    ours, theirs = block(x), Published(block, 3)(x)
    torch.testing.assert_close(ours, theirs)
    asked = [x, *block.parameters()]
    pulled = torch.randn(ours.shape, dtype=torch.float64, generator=generator)
    for a, b in zip(*(torch.autograd.grad(y, asked, pulled) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b)


def test_at_its_own_widths_it_is_reactnet_a():
    assert MODELS["reactnet_a"] == (32, 64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)
    with torch.device("meta"):
        network = reactnet_a(1, (3, 224, 224), 1000, MODELS["reactnet_a"])
    assert network.stem.stride == 2
    halved = [block.norm.weight.shape[1] for block in network.blocks if block.stride == 2]
    assert halved == [64, 128, 256, 512]
    assert len(network.blocks) == 13


def test_widths_that_no_block_has_are_refused():
    with pytest.raises(InvalidInput, match=r"got 6 after 4 in \[4, 6\]; name 4 or 8"):
        build_network(Workload(model="reactnet", widths=(4, 6)), (3, 8, 8), 10, [0])
    with pytest.raises(InvalidInput, match="keeps its ends real"):
        build_network(Workload(model="reactnet", binary_ends=True), (3, 8, 8), 10, [0])
