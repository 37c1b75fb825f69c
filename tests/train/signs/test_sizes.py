"""Which layers of a network could be done by signs, and their sizes in a batch."""

from tuner.bnn.models import build_network
from tuner.train.signs.sizes import Convolution, Product, layers_of, sign_convolutions
from tuner.workload import Workload

MLP = Workload(dataset="digits", model="mlp", widths=(24, 20, 12), batch_size=32)


def test_the_layers_are_found_in_the_order_of_the_network():
    workload = Workload(dataset="digits", model="cnn", widths=(6, 6, 8, 8))
    network = build_network(workload, (1, 8, 8), 10, [0])
    assert [tuple(layer.weight.shape[1:3]) for layer in sign_convolutions(network)] == [
        (6, 6),
        (8, 6),
        (8, 8),
    ]


def test_a_perceptrons_binary_layers_are_products_of_a_batchs_samples():
    assert layers_of(MLP, "bfloat16").products == (
        Product(32, 24, 20, "bfloat16", False),
        Product(32, 20, 12, "bfloat16", False),
    )


def test_a_layer_whose_inputs_are_no_signs_is_left_out():
    ends = Workload(**{**vars(MLP), "binary_ends": True})
    assert layers_of(ends, "float32").products == (
        None,
        Product(32, 24, 20, "float32", False),
        Product(32, 20, 12, "float32", False),
        Product(32, 12, 10, "float32", True),
    )
    cnn = Workload(dataset="digits", model="cnn", widths=(6, 8), binary_ends=True, batch_size=16)
    found = layers_of(cnn, "float32")
    assert found.convolutions == (None, Convolution(16, 6, 8, 8, 8, 1, "float32"))
    assert found.products == (Product(16, 128, 10, "float32", True),)


OUT_OF_ORDER = """
from math import prod
from torch import nn
from tuner.bnn.layers import Linear, NormSign

class Network(nn.Module):
    def __init__(self, k, features, classes):
        super().__init__()
        self.never = Linear(k, 5, 5, binary=True)
        self.norm = NormSign(k, 12)
        self.often = Linear(k, 12, 12, binary=True)
        self.first = Linear(k, features, 12, binary=True)
        self.last = Linear(k, 12, classes, binary=False, last=True)

    def forward(self, x):
        x = self.norm(self.first(x.flatten(2)))
        return self.last(self.norm(self.often(self.norm(self.often(x)))))

def make(shape, n_classes, n_trials):
    return Network(n_trials, prod(shape), n_classes)
"""


def test_a_layer_that_is_called_twice_or_never_or_out_of_order_has_its_own_size(
    monkeypatch, tmp_path
):
    (tmp_path / "out_of_order.py").write_text(OUT_OF_ORDER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TUNER_WORKLOADS", "out_of_order")
    workload = Workload(dataset="digits", model="out_of_order:make", batch_size=16)
    often = Product(16, 12, 12, "float32", False)
    assert layers_of(workload, "float32").products == (None, often, None)


def test_small_layers_are_timed_as_many_trials_large_ones_as_one():
    sizes = ((8, 8), (64, 64), (128, 128), (512, 512), (4096, 10))
    assert [Product(1, *each, "float32", False).trials for each in sizes] == [16, 16, 4, 1, 1]
