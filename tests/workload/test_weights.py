"""How many weights a network has is known before it is made."""

import pytest

from tuner.bnn.models import build_network
from tuner.workload import Workload
from tuner.workload.weights import least_weights, n_weights

NETWORKS = [
    {"model": "mlp", "widths": (5, 7)},
    {"model": "mlp", "widths": (6,), "binary_ends": True},
    {"model": "mlp"},
    {"model": "cnn", "widths": (3, 4, 5)},
    {"model": "cnn", "widths": (3, 4), "binary_ends": True},
    {"model": "bireal_resnet20", "widths": (4, 8, 6)},
    {"model": "bireal_resnet20", "widths": (3,)},
    {"model": "bireal_resnet18", "widths": (4, 4, 5)},
    {"model": "reactnet", "widths": (4, 8, 8, 16)},
    {"model": "reactnet_a", "widths": (2, 4, 4)},
]
SHAPES = {"digits": (1, 8, 8), "cifar10": (3, 32, 32)}


@pytest.mark.parametrize("dataset", SHAPES)
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_the_weights_counted_are_those_of_the_network(network, dataset):
    workload, shape = Workload(dataset=dataset, **network), SHAPES[dataset]
    made = build_network(workload, shape, 10, [0])
    there = sum(weight.numel() for weight in made.parameters())
    assert n_weights(workload, shape, 10) == there
    assert 0 < least_weights(workload) < there


def test_without_the_data_little_is_known_and_of_a_network_of_the_users_nothing():
    folder = Workload(dataset="folder", folder="photos", widths=(100, 100))
    assert least_weights(folder) == (100 + 200) + (100 * 100 + 200) + (100 + 1)
    assert least_weights(Workload(model="mine:net")) == 0
    assert least_weights(Workload(widths=(8192,) * 100)) > 99 * 8192**2
