"""Whole numbers in the place of batch norm and sign: the same signs, for every sum there is."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import OURS, SHAPE, binarized, images, noise, ours, samples, settled
from torch import nn

from tuner.bnn import binary
from tuner.bnn.layers import NormSign
from tuner.errors import InvalidInput
from tuner.export.reading.walking import Samples, walked
from tuner.export.thresholds import with_thresholds
from tuner.graphs.graph import PRECISIONS
from tuner.graphs.running import run

FOLDED = {"mlp": (1, 1), "cnn": (3, 3)}
"""Model -> how many signs of its networks of ``OURS`` are of integers, real and binary ends."""


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("model", "widths", "binary_ends"), OURS[:4])
def test_thresholds_change_no_bit(model, widths, binary_ends, precision):
    graph = walked(ours(model, widths, binary_ends), samples(precision))
    folded = with_thresholds(graph)
    count = sum(step.kind == "threshold" for step in folded.steps)
    assert count == FOLDED[model][binary_ends]
    assert torch.equal(run(folded, images()), run(graph, images()))
    assert len(folded.tensors) == len(graph.tensors) - 2 * count
    thresholds = [t for name, t in folded.tensors.items() if name.endswith(".threshold")]
    assert all(t.dtype == torch.int32 for t in thresholds)


NUMBERS = st.floats(-3, 3, width=32)


@pytest.mark.slow
@given(
    st.lists(st.tuples(NUMBERS, NUMBERS, st.floats(-20, 20, width=32)), min_size=1, max_size=9),
    st.integers(1, 300),
    st.sampled_from(["float32", "bfloat16", "float64"]),
)
def test_the_threshold_is_that_of_the_very_operation_for_every_sum(channels, n, precision):
    outputs, dtype = len(channels), PRECISIONS[precision]
    norm = NormSign(1, outputs).eval()
    for name, values in zip(
        ("weight", "bias", "running_mean"), zip(*channels, strict=True), strict=True
    ):
        getattr(norm, name).data[0] = torch.tensor(values)
    norm = norm.double() if precision == "float64" else norm
    network = SumThenSign(n, outputs, norm)
    graph = walked(network, Samples((n,), precision=precision))
    folded = with_thresholds(graph)
    assert [step.kind for step in folded.steps] == ["sign", "linear", "threshold", "linear"]
    sums = torch.arange(-n, n + 1).repeat(outputs, 1).T
    said = norm(sums.to(dtype)[None])[0]
    threshold, direction = (folded.tensors[f"norm.{role}"] for role in ("threshold", "direction"))
    assert torch.equal(torch.where(sums * direction >= threshold, 1.0, -1.0).to(dtype), said)


class SumThenSign(nn.Module):
    """What gives any sum of n signs to a batch norm of ours."""

    def __init__(self, n, outputs, norm):
        super().__init__()
        self.norm = norm
        self.linear = binary(nn.Linear(n, outputs, bias=False))
        self.linear.weight.data.fill_(1)
        self.last = nn.Linear(outputs, 2)

    def forward(self, x):
        from tuner.bnn import sign_ste

        return self.last(self.norm(self.linear(sign_ste(x))))


def test_scales_and_biases_go_into_the_thresholds():
    graph = walked(binarized(), Samples(SHAPE))
    folded = with_thresholds(graph)
    assert [step.kind for step in folded.steps].count("threshold") == 1
    scaled = {step.tensors["weight"] for step in folded.steps if "scale" in step.tensors}
    assert scaled == {"3.weight", "10.weight"}
    x = noise()
    assert torch.equal(run(folded, x), run(graph, x))


def test_a_scaled_sum_that_others_take_too_stays():
    class Forked(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = binary(nn.Linear(4, 4))
            self.norm = nn.BatchNorm1d(4)
            self.last = nn.Linear(4, 2)

        def forward(self, x):
            from tuner.bnn import sign_ste

            y = self.body(sign_ste(x))
            return self.last(sign_ste(self.norm(y)) + y)

    with pytest.raises(InvalidInput, match="no sign of this network is one of a batch norm of in"):
        with_thresholds(walked(settled(Forked()), Samples((4,))))


def test_a_network_without_integer_sums_is_refused():
    graph = walked(ours("bireal_resnet20", (4, 6), False), samples())
    with pytest.raises(InvalidInput, match="leave the thresholds out"):
        with_thresholds(graph)
