"""The compiled product of signs against its twin in torch, and where it is left to torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.bnn.binary_twin import product as twin
from tests.bnn.binary_twin import product_gradients
from tuner import kernels
from tuner.bnn import sign_product as module
from tuner.bnn.layers import Linear
from tuner.bnn.sign_conv import Way
from tuner.bnn.sign_product import FEW_OUTPUTS, sign_product, trusted

ROOT = Path(__file__).resolve().parents[2]
TYPES = [
    (torch.float32, torch.float32),
    (torch.bfloat16, torch.bfloat16),
    (torch.bfloat16, torch.float32),
]
SHAPES = [  # trials, samples, features, outputs
    (1, 1, 1, 1),
    (1, 8, 64, 64),
    (2, 9, 15, 17),
    (3, 7, 16, 16),
    (2, 1, 33, 33),
    (1, 65, 31, 100),
    (4, 3, 48, 10),
    (1, 17, 785, 40),
    (2, 5, 1601, 257),
    (1, 2, 4000, 31),
]


@pytest.fixture(scope="module", autouse=True)
def _where_it_is() -> None:
    if not hasattr(kernels.library(), "tuner_binary_product_f32_f32"):
        pytest.skip("needs a C++ compiler and a processor with AVX2")
    assert trusted()


@pytest.fixture(autouse=True)
def _one_thread(single_thread):
    """On small tensors several threads wait for each other longer."""


def signs(*shape, seed, dtype=torch.float32):
    drawn = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    return torch.where(drawn < 0.4, -1.0, 1.0).to(dtype)


def given(shape, dtype=torch.float32):
    """Activations and weights."""
    trials, samples, features, outputs = shape
    x = signs(trials, samples, features, seed=1, dtype=dtype)
    return x.requires_grad_(), signs(
        trials, outputs, features, seed=2, dtype=dtype
    ).requires_grad_()


def drawn_gradient(out):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(out.shape, generator=generator) * 7


def whole_numbers(out):
    """A gradient that becomes itself, however a compiler rounds on the way."""
    most = kernels.library().tuner_binary_most() - 1
    g = torch.arange(out.numel()).mul(7919).remainder(2 * most + 1).sub(most).float()
    g[:: out[0].numel()] = most  # of each trial
    return g.view(out.shape)


def assert_is_twin(shape, dtype, out, gradient_for=drawn_gradient):
    x, weight = given(shape, dtype)
    found = sign_product(x, weight, out, Way.BOTH)
    assert found is not None
    assert found.dtype == out
    assert torch.equal(found, twin(x, weight, out))
    same = sign_product(x, x, out, Way.FORWARD)  # the greatest sums that there are
    assert torch.equal(same, twin(x, x, out))
    g = gradient_for(found).to(dtype)
    gradients = torch.autograd.grad(found, (x, weight), g.to(out))
    expected = product_gradients(g, x, weight, kernels.library().tuner_binary_most())
    for ours, twins, of in zip(gradients, expected, (x, weight), strict=True):
        assert (ours.dtype, ours.shape) == (of.dtype, of.shape)
        rounding = 2**-23 if dtype == torch.float32 else 2**-8
        torch.testing.assert_close(ours.double(), twins, rtol=2 * rounding, atol=0)


@pytest.mark.parametrize(("dtype", "out"), TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_its_twin(shape, dtype, out):
    assert_is_twin(shape, dtype, out)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("outputs", [FEW_OUTPUTS, FEW_OUTPUTS + 1])
@pytest.mark.parametrize("last", [False, True])
def test_a_layer_by_signs_is_torchs_to_the_last_bit_and_lies_in_memory_alike(outputs, last, dtype):
    layer = Linear(3, 70, outputs, binary=True, last=last)
    layer.weight.data = signs(3, outputs, 70, seed=2, dtype=dtype)
    x = signs(3, 5, 70, seed=1, dtype=dtype).requires_grad_()
    found = []
    for layer.way in (Way.TORCH, Way.FORWARD):
        out = layer(x)
        g = torch.arange(out.numel()).view(out.shape).sin().to(out.dtype)
        found.append((out, *torch.autograd.grad(out, (x, layer.weight), g)))
    assert all(map(torch.equal, *found))
    assert [t.stride() for t in found[0]] == [t.stride() for t in found[1]]


def test_a_layer_takes_the_way_it_is_told(monkeypatch):
    asked = []
    monkeypatch.setattr("tuner.bnn.layers.sign_product", lambda *given: asked.append(given[-1]))
    layer = Linear(1, 4, 3, binary=True)
    layer.weight.data = signs(1, 3, 4, seed=2)
    x = signs(1, 2, 4, seed=1)
    layer(x)
    layer.way, layer.way_in_eval = Way.BOTH, Way.FORWARD
    for training in (True, False):
        out = layer.train(training)(x)
        assert torch.equal(out, twin(x, layer.weight, torch.float32))
    assert asked == [Way.TORCH, Way.BOTH, Way.FORWARD]


def test_a_gradient_is_made_only_where_it_is_wanted():
    x, weight = given((2, 9, 40, 21))
    both = torch.autograd.grad(sign_product(x, weight, x.dtype, Way.BOTH).sum(), (x, weight))
    (alone,) = torch.autograd.grad(
        sign_product(x.detach(), weight, x.dtype, Way.BOTH).sum(), (weight,)
    )
    assert torch.equal(alone, both[1])


def test_a_trial_is_rounded_as_it_is_alone():
    x, weight = given((2, 9, 40, 21))
    g = torch.randn(2, 9, 21)
    g[1] *= 1e-6
    together = torch.autograd.grad(sign_product(x, weight, x.dtype, Way.BOTH), (x, weight), g)
    for k in range(2):
        of_one = [t[k : k + 1].detach().requires_grad_() for t in (x, weight)]
        out = sign_product(*of_one, x.dtype, Way.BOTH)
        alone = torch.autograd.grad(out, of_one, g[k : k + 1])
        assert all(torch.equal(a[0], b[k]) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_gradient_that_is_no_number_shows_and_zeros_stay_zeros(bad, dtype):
    x, weight = given((1, 9, 40, 21), dtype)
    out = sign_product(x, weight, dtype, Way.BOTH)
    g = torch.zeros_like(out)
    for gradient in torch.autograd.grad(out, (x, weight), g, retain_graph=True):
        assert not gradient.any()
    g[0, 2, 3] = bad
    for gradient in torch.autograd.grad(out, (x, weight), g):
        assert gradient.isnan().all()


def test_activations_and_weights_may_lie_as_they_like():
    x, weight = signs(2, 9, 40, seed=1), signs(2, 21, 40, seed=2)
    expected = twin(x, weight, torch.float32)
    for lies in (lambda t: torch.stack([t, t + 7], -1)[..., 0], lambda t: t.mT.contiguous().mT):
        assert torch.equal(
            sign_product(lies(x), lies(weight), torch.float32, Way.FORWARD), expected
        )
    one = x[:1, :, :].expand(2, -1, -1)  # the samples that all trials share
    assert torch.equal(
        sign_product(one, weight, torch.float32, Way.FORWARD), twin(one, weight, torch.float32)
    )


@pytest.mark.parametrize("value", [0.0, 0.5, -2.0, torch.nan])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_no_sign_is_left_to_torch(dtype, place, value):
    x, weight = signs(2, 9, 19, seed=1, dtype=dtype), signs(2, 21, 19, seed=2, dtype=dtype)
    for tensor in (x, weight):
        flat = tensor.view(-1)
        before = flat[place].item()
        flat[place] = value
        assert sign_product(x, weight, dtype, Way.BOTH) is None
        flat[place] = before
    assert sign_product(x, weight, dtype, Way.BOTH) is not None


@pytest.mark.parametrize(
    ("x", "weight", "out"),
    [
        ((2, 3, 4, torch.float64), (2, 5, 4, torch.float64), torch.float64),
        ((2, 3, 4, torch.float64), (2, 5, 4, torch.float64), torch.float32),
        ((2, 3, 4, torch.float32), (2, 5, 4, torch.float32), torch.bfloat16),
        ((2, 3, 4, torch.float32), (2, 5, 4, torch.bfloat16), torch.float32),
        ((2, 3, 4, torch.float32), (1, 5, 4, torch.float32), torch.float32),
        ((2, 3, 4, torch.float32), (2, 5, 3, torch.float32), torch.float32),
        ((2, 3, 0, torch.float32), (2, 5, 0, torch.float32), torch.float32),
    ],
)
def test_other_types_and_shapes_are_left_to_torch(x, weight, out):
    x, weight = (signs(*shape, seed=1, dtype=dtype) for *shape, dtype in (x, weight))
    assert sign_product(x, weight, out, Way.BOTH) is None


def test_sums_that_do_not_fit_are_left_to_torch(monkeypatch):
    x, weight = signs(1, 3, 20, seed=1), signs(1, 5, 20, seed=2)
    assert sign_product(x, weight, torch.float32, Way.BOTH) is not None
    for most, number in (("_MOST_FEATURES", 19), ("_MOST_SUMMED", 4)):
        with monkeypatch.context() as patch:
            patch.setattr(module, most, number)
            assert sign_product(x, weight, torch.float32, Way.BOTH) is None


def test_an_operation_that_is_wrong_is_left_out_and_one_line_says_so(monkeypatch, caplog):
    trusted.cache_clear()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(module, "sign_product", lambda x, w, *how: sign_product(x, -w, *how))
            assert not trusted()
            assert not trusted()
        assert len(caplog.records) == 1
        assert "wrong on this processor and left out: float32 to float32" in caplog.text
    finally:
        trusted.cache_clear()


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_it_is_checked_where_nothing_has_a_gradient_too(without):
    trusted.cache_clear()
    with without():
        assert trusted()


@pytest.mark.slow
@pytest.mark.skipif("AVX512" not in torch.backends.cpu.get_cpu_capability(), reason="is AVX2")
def test_without_avx_512_it_is_its_twin_too(tmp_path):
    compiler = tmp_path / "compiler"
    command = f'exec {os.environ.get("CXX") or "g++"} "$@" -O0 -mno-avx512f'  # -O3 takes 10 s
    compiler.write_text(f"#!/bin/sh\n{command}\n")
    compiler.chmod(0o755)
    without = {"CXX": str(compiler), "TUNER_CACHE_DIR": str(tmp_path)}
    script = """
import torch
from tests.bnn.test_sign_product import SHAPES, TYPES, assert_is_twin, whole_numbers
from tuner import kernels
torch.set_num_threads(1)
assert kernels.library().tuner_binary_most() == 1023
for shape in SHAPES:
    for types in TYPES:
        assert_is_twin(shape, *types, whole_numbers)
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=os.environ | without, check=True)
