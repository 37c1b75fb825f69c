"""What batch norm with a shortcut keeps for its gradient: a bit for each number of the sum."""

from dataclasses import replace

import pytest
import torch

from tests.bnn.test_normsign import DTYPES, draw, run
from tuner.bnn.normsign import EPS, Norm, norm_add_sign

pytestmark = pytest.mark.usefixtures("compiled", "single_thread")


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_rounds_to_one_passes_no_gradient(dtype):
    one = torch.ones(1, 17)
    norm = Norm(one, 0 * one, 0 * one, one - EPS, False)
    step = 2**-8 if dtype == torch.bfloat16 else 2**-24  # between numbers below 1
    below = torch.tensor([1 - step, 1 - 2 * step, step - 1, 2 * step - 1], dtype=dtype)
    half = torch.tensor([step / 2, step / 2, -step / 2, -step / 2], dtype=dtype)
    x, added = (t.view(4, 1, 1, 1).repeat(1, 17, 1, 1) for t in (below, half))
    x.requires_grad_()
    z, signs = norm_add_sign(x, norm, added)
    passes = (z.detach().abs() < 1).to(dtype)
    assert passes[:, 0].flatten().tolist() == [0, 1, 0, 1]
    (found,) = torch.autograd.grad(signs.sum(), x)
    assert torch.equal(found, passes)


@pytest.mark.parametrize("dtype", DTYPES)
def test_of_a_sum_a_bit_is_kept_for_each_number(dtype):
    given = draw(1, 64, (7, 6, 5), residual=True).to(dtype)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        run(replace(given, gz=None, gs=None))
    large = [t.nbytes for t in kept if t.numel() > 2 * 64]
    assert sorted(large) == [given.x.numel() // 8, given.x.nbytes]
