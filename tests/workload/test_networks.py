"""Which widths a network can have is known where it is declared, as it is where it is made."""

from itertools import product

import pytest
import torch

from tuner.bnn.data.dataset import load_data
from tuner.bnn.layers import binary_parameters, initialise
from tuner.bnn.models import PLAIN, RESIDUAL, build_network
from tuner.errors import InvalidInput
from tuner.search.declared.files import parse
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.declared.whole_trials import STORED
from tuner.workload import MODELS, Workload
from tuner.workload.choices import IMAGES
from tuner.workload.networks import BINARY_ENDS, check

DECLARED = {"name": "mine", "n_trials": 2, "arms": [{"name": "new", "space": "filter"}]}
WIDTHS = [(4,), (4, 4), (4, 8), (4, 6), (8, 4), (2, 4, 4, 8), (2,) * 4]
SHAPES = {"digits": (1, 8, 8), "cifar10": (3, 32, 32)}


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        (
            {"model": "reactnet", "widths": [16, 24]},
            "workload.widths: each width of reactnet must be the one before or twice that, got 24 "
            "after 16 in [16, 24]; name 16 or 32",
        ),
        (
            {"model": "reactnet_a", "dataset": "cifar10", "widths": [8, 16, 8]},
            "workload.widths: each width of reactnet_a must be the one before or twice that, got "
            "8 after 16 in [8, 16, 8]; name 16 or 32",
        ),
        (
            {"model": "reactnet", "widths": [16]},
            "workload.widths: reactnet needs a binary layer and has none with [16]; name two "
            "widths or more",
        ),
        (
            {"widths": [16]},
            "workload.widths: mlp needs a binary layer and has none with [16]; name two widths or "
            "more, or set workload.binary_ends",
        ),
        (
            {"model": "cnn", "widths": [16] * 8},
            "workload.widths: 8 layers of a cnn halve images of 8x8 to nothing; name at most "
            "7 widths",
        ),
        (
            {"model": "bireal_resnet18", "binary_ends": True},
            "workload.binary_ends: bireal_resnet18 keeps its ends real; drop it",
        ),
    ],
)
def test_a_network_that_cannot_be_is_refused_alike_where_it_is_declared_and_made(workload, words):
    with pytest.raises(InvalidInput) as refused:
        parse(ComparisonSpec, DECLARED | {"workload": workload}, "mine.toml")
    assert str(refused.value) == f"mine.toml: {words}"
    whole = Workload(**{**workload, "widths": tuple(workload.get("widths", ()))})
    with pytest.raises(InvalidInput) as refused:
        build_network(whole, SHAPES[whole.dataset], 10, [0])
    assert str(refused.value) == words


@pytest.mark.parametrize("model", MODELS)
def test_what_can_be_declared_can_be_trained_and_nothing_else_can(model):
    """Brute force: each network is made without being asked, and classifies an image."""
    for widths, side, ends in product(WIDTHS, (1, 4), (False, True)):
        if ends and model in RESIDUAL:
            continue
        try:
            check(model, widths, binary_ends=ends, image=(side, side + 1))
        except InvalidInput:
            allowed = False
        else:
            allowed = True
        assert allowed == trains(model, widths, side, ends=ends), (widths, side, ends)


def trains(model: str, widths: tuple[int, ...], side: int, *, ends: bool) -> bool:
    shape = (1, side, side + 1)
    try:
        if model in PLAIN:
            network: torch.nn.Module = PLAIN[model](1, shape, 3, widths, binary_ends=ends)
        else:
            network = RESIDUAL[model](1, shape, 3, widths)
        initialise(network, [0])
        network(torch.randn(1, 4, *shape)).sum().backward()
    except (RuntimeError, ValueError, ZeroDivisionError):
        return False
    return bool(binary_parameters(network))


def test_images_of_a_size_are_known_without_the_data():
    folder = {"model": "cnn", "dataset": "folder", "folder": "photos", "widths": [8] * 5}
    parse(ComparisonSpec, DECLARED | {"workload": folder}, "mine")
    parse(ComparisonSpec, DECLARED | {"workload": folder | {"size": 4}}, "mine")
    with pytest.raises(
        InvalidInput, match="halve images of 3x3 to nothing; name at most 3 widths"
    ):
        parse(ComparisonSpec, DECLARED | {"workload": folder | {"size": 3}}, "mine")


def test_what_was_stored_before_there_was_such_a_rule_is_read_as_it_stands():
    stored = DECLARED | {"workload": {"model": "reactnet", "widths": [16, 24]}}
    read = ComparisonSpec.model_validate(stored, context=STORED)
    assert [study.workload.widths for study in read.every_study()] == [(16, 24)] * 3


def test_the_models_and_images_are_those_that_there_are():
    assert set(PLAIN) == set(BINARY_ENDS)
    assert load_data(Workload()).shape == (1, *IMAGES["digits"])
