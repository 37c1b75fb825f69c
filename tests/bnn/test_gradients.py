"""Gradients of what has a gradient."""

import pytest
import torch

from tuner.bnn.gradients import gradients


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_they_are_torchs_own(dtype: torch.dtype):
    generator = torch.Generator().manual_seed(0)
    x, w, g = (
        torch.randn(shape, generator=generator).to(dtype) for shape in ((5, 7), (7, 3), (5, 3))
    )
    x, w = x.requires_grad_(), w.requires_grad_()
    found = gradients(x @ w, (x, w), g)
    for ours, theirs in zip(found, torch.autograd.grad(x @ w, (x, w), g), strict=True):
        assert torch.equal(ours, theirs)
