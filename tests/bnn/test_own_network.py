"""A network of the user's own: ordinary, with a trial axis, or refused in a sentence."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tuner.bnn import binary
from tuner.bnn.layers import binary_parameters, real_parameters
from tuner.bnn.models import build_network
from tuner.bnn.own_network import Alone, trains_alone, try_out
from tuner.errors import InvalidInput
from tuner.workload import Workload

MODULE = "own_for_tests"


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("TUNER_WORKLOADS", MODULE)


def named(model: str, **options: object) -> Workload:
    return Workload(model=f"{MODULE}:{model}", model_options=options)


def build(model: str, *seeds: int, **options: object) -> nn.Module:
    return build_network(named(model, **options), (1, 8, 8), 10, seeds or (0,))


def test_an_ordinary_module_is_a_network_of_one_trial_and_its_seed():
    network = build("make", 5, width=12)
    assert isinstance(network, Alone)
    assert trains_alone(named("make"))
    assert network(torch.randn(1, 7, 1, 8, 8)).shape == (1, 7, 10)
    same, other = build("make", 5, width=12), build("make", 6, width=12)
    (weight,) = binary_parameters(network)
    assert weight.shape == (12, 12)
    assert torch.equal(weight, binary_parameters(same)[0])
    assert not torch.equal(weight, binary_parameters(other)[0])


def test_making_a_network_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    build("make", 5)
    assert torch.equal(torch.rand(3), expected)


def test_k_networks_side_by_side_are_k_networks():
    network = build("side_by_side", 3, 8)
    assert not trains_alone(named("side_by_side"))
    images = torch.randn(1, 7, 1, 8, 8)
    wide = network(images.expand(2, -1, -1, -1, -1))
    for row, seed in enumerate((3, 8)):
        torch.testing.assert_close(wide[row], build("side_by_side", seed)(images)[0])


def test_marked_are_the_weights_of_layers_not_biases_and_norms():
    block = binary(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)))
    assert [id(p) for p in binary_parameters(block)] == [id(block[at].weight) for at in (0, 2)]
    assert list(dict(block.named_parameters())) == [
        f"{layer}.{name}" for layer in (0, 1, 2) for name in ("weight", "bias")
    ]
    block[2].bias.requires_grad_(False)
    assert len(real_parameters(block)) == 3, "a frozen parameter is not trained"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("no_binary", r"own_for_tests:no_binary: the network has no binary weight, .* mark a "),
        ("no_module", r"no_module returned int; it must return a torch\.nn\.Module"),
        ("raises", r"raises raised KeyError: 'width' \(.*own_for_tests\.py, line \d+\)"),
        ("exits", r"exits called sys\.exit\('no more'\) \(.*own_for_tests\.py, line \d+\)"),
        ("one_of_torch", r"extra\.weight is of Linear, which has no trial axis; .* without n_tr"),
        ("one_trial_only", r"first\.weight has shape \[1, 16, 64\], which must begin with n_tri"),
        ("not_there", r"own_for_tests has no function 'not_there' \(there are .*make, "),
    ],
)
def test_what_is_no_network_is_refused_with_the_fix(model: str, words: str):
    with pytest.raises(InvalidInput, match=words):
        build(model, 0, 1)


def test_the_refusal_of_what_raised_brings_the_users_own_traceback():
    with pytest.raises(InvalidInput) as refused:
        build("raises")
    (note,) = refused.value.__notes__
    assert note.startswith("Traceback:\n")
    assert "own_for_tests.py" in note and 'return {}["width"]' in note
    assert "tuner/named.py" not in note and "own_network.py" not in note


def test_options_that_the_function_does_not_take_are_refused_with_its_signature():
    with pytest.raises(
        InvalidInput,
        match=r"called as make\(shape, n_classes, depth=\.\.\.\), but is make\(shape, n_classes, ",
    ):
        build("make", depth=3)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("pair", r"the network must return logits \[samples, classes\], a tensor, got tuple"),
        (
            "of_images",
            r"of_images's network, given 2 samples of shape \[1, 8, 5\], torch.float32, ",
        ),
        (
            "two_outputs",
            r"must return logits of shape \[2, 10\] .* got torch.float32 of shape \[2",
        ),
    ],
)
def test_a_network_that_does_not_take_the_data_is_refused(model: str, words: str):
    network = build_network(named(model), (1, 8, 5), 10, [0])
    with pytest.raises(InvalidInput, match=words):
        try_out(network, torch.zeros(1, 2, 1, 8, 5), 10, named(model))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "make"}, r"unknown model 'make'|model 'make' is unknown"),
        ({"model": "a b:make"}, r"workload\.model: must name a function as package\.module:func"),
        ({"dataset": "a:"}, r"workload\.dataset: must name a function"),
        ({"model": "a:b", "widths": (3,)}, r"workload\.widths: .* give a:b what it takes as work"),
        ({"model_options": {"width": 3}}, r"workload\.model_options: are for a function, .*; mlp"),
        ({"dataset_options": {"n": 3}}, r"workload\.dataset_options: are for a function, .*digit"),
    ],
)
def test_a_workload_says_what_does_not_go_together(given: dict[str, object], words: str):
    with pytest.raises(InvalidInput, match=words):
        Workload(**given)


def test_of_built_in_networks_the_mlp_alone_takes_other_than_images():
    assert build_network(Workload(), (5,), 3, [0])(torch.zeros(1, 2, 5)).shape == (1, 2, 3)
    with pytest.raises(
        InvalidInput, match=r"model cnn: takes images .* have shape \[5\]; use mlp"
    ):
        build_network(Workload(model="cnn"), (5,), 3, [0])
