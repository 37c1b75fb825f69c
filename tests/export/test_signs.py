"""Exported layers done by signs give torch's numbers, and are timed only where that may pay."""

import pytest
import torch
from networks import OURS, images, ours, samples

from tuner.bnn import sign_conv, sign_product
from tuner.bnn.sign_conv import Way
from tuner.export import signs
from tuner.export.reading.walking import walked
from tuner.graphs.running import run
from tuner.train.signs.sizes import Convolution, Product


def trusted():
    return sign_conv.trusted() and sign_product.trusted()


needs_signs = pytest.mark.skipif(  # a text, so that nothing is compiled while tests are collected
    "not trusted()", reason="needs a C++ compiler, and AVX2"
)


@pytest.fixture(autouse=True)
def _one_thread(single_thread):
    """On small tensors several threads wait for each other longer."""


@pytest.fixture
def told(monkeypatch):
    """Let every layer be done in one way; returns those that were asked for."""

    def told(way):
        asked = []
        monkeypatch.setattr(signs, "forward_way", lambda layer: asked.append(layer) or way)
        return asked

    return told


@needs_signs
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("model", "widths", "binary_ends"), OURS)
def test_by_signs_a_network_says_what_it_says_by_torch(
    model, widths, binary_ends, precision, told, monkeypatch
):
    graph = walked(ours(model, widths, binary_ends), samples(precision))
    asked = told(Way.TORCH)
    expected = run(graph, images(70), kinds=signs.KINDS)
    assert torch.equal(run(graph, images(70)), expected)
    convolutions = sum(isinstance(layer, Convolution) for layer in asked)
    done = []
    for name, real in (("sign_conv", signs.sign_conv), ("sign_product", signs.sign_product)):
        monkeypatch.setattr(
            signs, name, lambda *given, real=real: done.append(real(*given)) or done[-1]
        )
    assert told(Way.FORWARD) == []
    assert torch.equal(run(graph, images(70), kinds=signs.KINDS), expected)
    sizes = [tuple(graph.tensors[name].shape[2:]) for name in graph.binary]
    able = sum(size in ((), (3, 3)) for size in sizes) - binary_ends  # the first has no signs
    assert len(done) == len(asked) == able > 0
    assert all(out is not None for out in done)
    assert (convolutions > 0) == (model != "mlp")


def test_what_is_asked_for_is_the_layer_as_training_has_it(told):
    asked = told(Way.TORCH)
    run(walked(ours("mlp", (70, 33), True), samples("bfloat16")), images(64), kinds=signs.KINDS)
    run(walked(ours("bireal_resnet20", (4, 6), False), samples()), images(64), kinds=signs.KINDS)
    assert asked[:2] == [
        Product(128, 70, 33, "bfloat16", last=False),
        Product(128, 33, 5, "bfloat16", last=True),
    ]
    assert asked[2] == Convolution(128, 4, 4, 16, 16, 1, "float32")
    assert asked[8] == Convolution(128, 4, 6, 16, 16, 2, "float32")


def test_a_few_samples_are_left_to_torch_without_a_timing(told):
    asked = told(Way.FORWARD)
    run(walked(ours("cnn", (6, 5, 7, 6), True), samples()), images(63), kinds=signs.KINDS)
    assert asked == []


def drawn(*shape):
    bits = torch.rand(shape, generator=torch.Generator().manual_seed(3)) < 0.5
    return torch.where(bits, 1.0, -1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"weight": drawn(6, 4, 5, 5)},
        {"weight": drawn(6, 4, 3, 3) * 0.5},
        {"weight": drawn(6, 2, 3, 3), "groups": 2},
        {"x": drawn(64, 4, 8, 8)},
        {"x": drawn(64, 8, 8, 4).permute(0, 3, 1, 2) * 2},
        {"stride": [3, 3]},
        {"stride": [1, 2]},
        {"padding": [0, 0]},
        {"dilation": [2, 2]},
    ],
)
def test_other_convolutions_are_left_to_torch_without_a_timing(change, told):
    asked = told(Way.FORWARD)
    given = {
        "x": drawn(64, 8, 8, 4).permute(0, 3, 1, 2),
        "weight": drawn(6, 4, 3, 3),
        "stride": [1, 1],
        "padding": [1, 1],
        "dilation": [1, 1],
        "groups": 1,
    }
    x, weight, *_ = (given | change).values()
    options = {name: v for name, v in (given | change).items() if name not in ("x", "weight")}
    assert signs.convolved(x, weight, options) is None
    assert asked == []
