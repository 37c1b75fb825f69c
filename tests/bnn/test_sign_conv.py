"""The compiled convolution of signs against its twin in torch, and where it is left to torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tests.bnn.binary_twin import gradients
from tuner import kernels
from tuner.bnn import sign_conv as module
from tuner.bnn.layers import Conv2d
from tuner.bnn.sign_conv import Way, sign_conv, trusted

ROOT = Path(__file__).resolve().parents[2]
DTYPES = [torch.float32, torch.bfloat16]

SHAPES = [  # trials, images, channels, outputs, height, width
    (1, 1, 1, 1, 1, 1),
    (1, 8, 16, 16, 8, 8),
    (1, 33, 32, 32, 4, 7),
    (1, 2, 17, 15, 5, 3),
    (2, 9, 3, 33, 2, 9),
    (3, 5, 40, 21, 3, 1),
    (1, 70, 50, 48, 1, 2),
    (2, 3, 64, 100, 7, 14),
    (1, 2, 600, 9, 3, 3),
    (1, 3, 9, 260, 2, 17),
]


@pytest.fixture(scope="module", autouse=True)
def _where_it_is() -> None:
    if kernels.library() is None or not hasattr(kernels.library(), "tuner_binary_most"):
        pytest.skip("needs a C++ compiler and a processor with AVX2")
    assert trusted()


@pytest.fixture(autouse=True)
def _one_thread(single_thread):
    """On small tensors several threads wait for each other longer."""


def signs(*shape, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(shape, generator=generator)
    return torch.where(drawn < 0.4, -1.0, 1.0).to(dtype).requires_grad_()


def torchs(x, weight, stride):
    return F.conv2d(
        x.double(), weight.double().flatten(0, 1), stride=stride, padding=1, groups=len(weight)
    )


def drawn_gradient(out):
    generator = torch.Generator().manual_seed(3)
    g = torch.randn(out.shape, generator=generator) * torch.randn(1, generator=generator).exp()
    return g.to(out.dtype)


def whole_numbers(out):
    """A gradient that becomes itself, however a compiler rounds on the way."""
    most = kernels.library().tuner_binary_most() - 1
    g = torch.arange(out.numel()).mul(7919).remainder(2 * most + 1).sub(most).to(out.dtype)
    g[0] = most
    return g.view(out.shape)


def assert_is_twin(shape, stride, dtype, gradient_for=drawn_gradient):
    trials, images, channels, outputs, height, width = shape
    x = signs(images, trials * channels, height, width, seed=1, dtype=dtype)
    weight = signs(trials, outputs, channels, 3, 3, seed=2, dtype=dtype)
    out = sign_conv(x, weight, stride, Way.BOTH)
    assert out is not None
    assert torch.equal(out.double(), torchs(x, weight, stride).to(dtype).double())
    g = gradient_for(out)
    found = torch.autograd.grad(out, (x, weight), g)
    expected = gradients(g, x, weight, stride, kernels.library().tuner_binary_most())
    for ours, twins, given in zip(found, expected, (x, weight), strict=True):
        assert (ours.dtype, ours.shape) == (given.dtype, given.shape)
        rounding = 2**-23 if dtype == torch.float32 else 2**-8
        torch.testing.assert_close(ours.double(), twins, rtol=2 * rounding, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_its_twin(shape, stride, dtype):
    assert_is_twin(shape, stride, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stride", [1, 2])
def test_forward_alone_is_torchs_to_the_last_bit_and_so_are_the_gradients(stride, dtype):
    layer = Conv2d(3, 40, 21, stride=stride, binary=True)
    layer.weight.data = signs(3, 21, 40, 3, 3, seed=2, dtype=dtype).detach()
    x = signs(5, 3 * 40, 6, 7, seed=1, dtype=dtype)
    found = []
    for layer.way in (Way.TORCH, Way.FORWARD):
        out = layer(x)
        assert (type(out.grad_fn).__name__ == "_ForwardBackward") == (layer.way is Way.FORWARD)
        g = torch.arange(out.numel()).view(out.shape).sin().to(dtype)
        found.append((out, *torch.autograd.grad(out, (x, layer.weight), g)))
    assert all(map(torch.equal, *found))


def test_in_evaluation_a_layer_goes_its_own_way(monkeypatch):
    asked = []
    monkeypatch.setattr("tuner.bnn.layers.sign_conv", lambda *given: asked.append(given[-1]))
    layer = Conv2d(1, 5, 7, binary=True)
    layer.weight.data = signs(1, 7, 5, 3, 3, seed=2).detach()
    layer.way, layer.way_in_eval = Way.BOTH, Way.FORWARD
    for training in (True, False):
        layer.train(training)(signs(3, 5, 4, 6, seed=1))
    assert asked == [Way.BOTH, Way.FORWARD]


@pytest.mark.parametrize("layout", ["channels_first", "gaps"])
def test_activations_weights_and_gradients_may_lie_as_they_like(layout):
    def laid_out(t):
        if layout == "gaps":
            return torch.stack([t, t + 7], -1)[..., 0]
        return t.transpose(0, 1).contiguous().transpose(0, 1)

    x, weight = signs(3, 2 * 5, 4, 6, seed=1), signs(2, 7, 5, 3, 3, seed=2)
    g = torch.randn(3, 2 * 7, 4, 6)
    plain = torch.autograd.grad(sign_conv(x, weight, 1, Way.BOTH), (x, weight), g)
    otherwise = [laid_out(t.detach()).requires_grad_() for t in (x, weight)]
    found = torch.autograd.grad(sign_conv(*otherwise, 1, Way.BOTH), otherwise, laid_out(g))
    assert all(map(torch.equal, found, plain))


def test_a_gradient_is_made_only_where_it_is_wanted():
    x, weight = signs(3, 5, 4, 6, seed=1), signs(1, 7, 5, 3, 3, seed=2)
    both = torch.autograd.grad(sign_conv(x, weight, 1, Way.BOTH).sum(), (x, weight))
    for given, kept in ((x, weight), (weight, x)):
        kept.requires_grad_(False)
        (alone,) = torch.autograd.grad(sign_conv(x, weight, 1, Way.BOTH).sum(), given)
        assert torch.equal(alone, both[0 if given is x else 1])
        kept.requires_grad_(True)


def test_a_trial_is_rounded_as_it_is_alone():
    x, weight = signs(3, 2 * 20, 4, 6, seed=1), signs(2, 7, 20, 3, 3, seed=2)
    g = torch.randn(3, 2 * 7, 4, 6)
    g[:, 7:] *= 1e-6
    together = torch.autograd.grad(sign_conv(x, weight, 1, Way.BOTH), (x, weight), g)
    for k in range(2):
        own_x = x[:, 20 * k : 20 * (k + 1)].detach().requires_grad_()
        own_weight = weight[k : k + 1].detach().requires_grad_()
        out = sign_conv(own_x, own_weight, 1, Way.BOTH)
        alone = torch.autograd.grad(out, (own_x, own_weight), g[:, 7 * k : 7 * (k + 1)])
        assert torch.equal(alone[0], together[0][:, 20 * k : 20 * (k + 1)])
        assert torch.equal(alone[1][0], together[1][k])


def test_many_gradients_too_small_to_count_still_add_up():
    x, weight = signs(64, 16, 8, 8, seed=1), signs(1, 16, 16, 3, 3, seed=2)
    x.data.fill_(1)
    g = torch.full((64, 16, 8, 8), 2e-4)  # to the nearest of 1/1023 or 1/1363, all would be 0
    g[0, :, 0, 0] = 1
    (found,) = torch.autograd.grad(sign_conv(x, weight, 1, Way.BOTH), weight, g)
    (expected,) = torch.autograd.grad(torchs(x, weight, 1), weight, g.double())
    torch.testing.assert_close(found, expected.float(), rtol=0.1, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_that_are_zero_stay_zero(dtype):
    x, weight = signs(3, 5, 4, 6, seed=1, dtype=dtype), signs(1, 7, 5, 3, 3, seed=2, dtype=dtype)
    out = sign_conv(x, weight, 1, Way.BOTH)
    for gradient in torch.autograd.grad(out, (x, weight), torch.zeros_like(out)):
        assert not gradient.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_gradient_that_is_no_number_shows(bad, dtype):
    x, weight = signs(3, 5, 4, 6, seed=1, dtype=dtype), signs(1, 7, 5, 3, 3, seed=2, dtype=dtype)
    out = sign_conv(x, weight, 1, Way.BOTH)
    g = torch.ones_like(out)
    g[1, 2, 3, 4] = bad
    for gradient in torch.autograd.grad(out, (x, weight), g):
        assert gradient.isnan().all()


@pytest.mark.parametrize(
    ("size", "stride", "dtype"),
    [(1, 1, torch.float32), (5, 1, torch.float32), (3, 3, torch.float32), (3, 1, torch.float64)],
)
def test_other_sizes_strides_and_types_are_left_to_torch(size, stride, dtype):
    layer = Conv2d(1, 4, 6, size=size, stride=stride, binary=True)
    layer.weight.data = signs(1, 6, 4, size, size, seed=2, dtype=dtype).detach()
    layer.way = Way.BOTH
    x = signs(2, 4, 7, 7, seed=1, dtype=dtype)
    assert sign_conv(x, layer.weight, stride, Way.BOTH) is None
    padding = size // 2
    assert torch.equal(layer(x), F.conv2d(x, layer.weight[0], stride=stride, padding=padding))


@pytest.mark.parametrize("value", [0.0, 0.5, -2.0, torch.nan])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_no_sign_is_left_to_torch(dtype, place, value):
    x, weight = signs(2, 19, 3, 5, seed=1, dtype=dtype), signs(1, 5, 19, 3, 3, seed=2, dtype=dtype)
    for tensor in (x, weight):
        flat = tensor.detach().view(-1)
        before = flat[place].item()
        flat[place] = value
        assert sign_conv(x, weight, 1, Way.BOTH) is None
        flat[place] = before
    assert sign_conv(x, weight, 1, Way.BOTH) is not None


def test_a_sum_that_could_overflow_is_left_to_torch(monkeypatch):
    x, weight = signs(2, 5, 4, 6, seed=1), signs(1, 7, 5, 3, 3, seed=2)
    monkeypatch.setattr(module, "_MOST_POSITIONS", 2 * 4 * 6 - 1)
    assert sign_conv(x, weight, 1, Way.BOTH) is None


def test_operations_that_are_wrong_are_left_out_and_one_line_says_so(monkeypatch, caplog):
    trusted.cache_clear()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(module, "sign_conv", lambda x, w, *how: sign_conv(x, -w, *how))
            assert not trusted()
            assert not trusted()
        assert len(caplog.records) == 1
        assert "wrong on this processor and left out" in caplog.text
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
from tests.bnn.test_sign_conv import SHAPES, assert_is_twin, whole_numbers
from tuner import kernels
torch.set_num_threads(1)
assert kernels.library().tuner_binary_most() == 1023
for shape in SHAPES:
    for stride in (1, 2):
        assert_is_twin(shape, stride, torch.float32, whole_numbers)
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=os.environ | without, check=True)
