"""A graph says what its network says, bit for bit, and what is no graph is refused by name."""

import pytest
import torch
from networks import (
    OF_TORCH,
    OURS,
    SHAPE,
    QuantIdentity,
    QuantLinear,
    binarized,
    images,
    noise,
    ours,
    samples,
    settled,
)
from torch import nn

from tuner.bnn import binary, binary_parameters
from tuner.errors import InvalidInput
from tuner.export.formats.onnx_nodes import KINDS as ONNX_KINDS
from tuner.export.reading.walking import Samples, walked
from tuner.graphs.graph import PRECISIONS
from tuner.graphs.running import KINDS, run


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("model", "widths", "binary_ends"), OURS)
def test_a_graph_says_what_its_network_says_to_the_last_bit(model, widths, binary_ends, precision):
    network, takes = ours(model, widths, binary_ends), samples(precision)
    dtype = PRECISIONS[precision]
    given = images().to(dtype).mul_(takes.scale.to(dtype)).add_(takes.shift.to(dtype))
    for weight in binary_parameters(network):
        weight.data = weight.data.to(dtype)
    with torch.no_grad():
        said = network(given[None])[0]
    graph = walked(network, takes)
    assert torch.equal(run(graph, images()), said)
    assert graph.n_binary == sum(weight.numel() for weight in binary_parameters(network))
    assert len(said.unique()) > 20


@pytest.mark.parametrize("which", OF_TORCH)
def test_networks_of_others_are_read_as_they_are(which):
    network = OF_TORCH[which]()
    x = noise()
    with torch.no_grad():
        said = network(x)
    assert torch.equal(run(walked(network, Samples(SHAPE)), x), said)
    assert len(said.unique()) > 20


def test_a_layer_s_weights_are_signs_and_a_scale_where_it_has_one():
    graph = walked(binarized(), Samples(SHAPE))
    assert all(set(graph.tensors[name].unique().tolist()) == {-1, 1} for name in graph.binary)
    scales = [step.tensors["scale"] for step in graph.steps if "scale" in step.tensors]
    assert scales == ["3.scale", "6.scale", "10.scale"]


def test_every_kind_of_step_can_be_written_as_onnx():
    assert set(KINDS) == set(ONNX_KINDS)


class Branching(nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = binary(nn.Linear(4, 4))

    def forward(self, x):
        return torch.softmax(self.body(x), 1)


class Signing(Attending):
    def forward(self, x):
        return self.body(x).sign()


class Two(Attending):
    def forward(self, x):
        return self.body(x), x


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.Sequential(binary(nn.Linear(4, 4)), nn.GELU()), "1 is a GELU, which cannot be exp"),
        (nn.Sequential(binary(nn.Linear(4, 4)), nn.GRU(4, 4)), "1 is a GRU, which cannot be exp"),
        (
            nn.Sequential(binary(Branching(4, 4))),
            "forward of Sequential cannot be followed .*control flow",
        ),
        (Attending(), "forward calls softmax, which cannot be exported"),
        (Signing(), "forward calls sign, .*; it is 0 at 0, take tuner.bnn.sign_ste"),
        (Two(), "must return its logits alone"),
        (
            nn.Sequential(QuantLinear(4, 4, bits=4)),
            "0: a QuantLinear whose weights are not of one",
        ),
        (nn.Sequential(QuantIdentity(nn.Hardtanh())), "0: a QuantIdentity that is no sign times"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding_mode="circular")), "0: pads by 'circular'"),
        (
            nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)),
            "0: keeps no running statistics",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(network, words):
    with pytest.raises(InvalidInput, match=f"export: .*{words}"):
        walked(settled(network) if binary_parameters(network) else network, Samples((4,)))


def test_a_weight_that_is_to_be_binary_and_is_not_is_refused():
    network = nn.Sequential(binary(nn.Linear(4, 4)))
    with pytest.raises(InvalidInput, match=r"0.weight is to be binary and holds other values"):
        walked(network, Samples((4,)))
