"""torch's optimizers without torch's compiler."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tuner.optim.uncompiled import Adam

SCRIPT = """
import sys
from tuner.bnn import sign_conv, sign_product
from tuner.train import TrialConfig, train
from tuner.workload import Workload

workload = Workload(widths=(8, 8), epochs=1, n_train=32, batch_size=32)
train(workload, [TrialConfig("filter_flip", {}, seed=0)])
sign_conv.trusted(), sign_product.trusted()
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""


def test_adam_takes_torchs_steps_bit_for_bit():
    ends = []
    for kind in (Adam, torch.optim.Adam):
        generator = torch.Generator().manual_seed(0)
        weights = [torch.nn.Parameter(torch.randn(n, generator=generator)) for n in (7, 40)]
        adam = kind(weights, lr=torch.tensor(0.01), fused=True)
        for step in range(6):
            for weight in weights:
                weight.grad = torch.randn(weight.shape, generator=generator)
            adam.step()
            if step == 3:
                adam.load_state_dict(adam.state_dict())
        adam.zero_grad()
        assert all(weight.grad is None and weight.requires_grad for weight in weights)
        ends.append(torch.cat([weight.detach() for weight in weights]))
    assert torch.equal(*ends)


@pytest.mark.slow
def test_a_process_that_trains_imports_neither_torchs_compiler_nor_its_algebra():
    root = Path(__file__).resolve().parents[2]
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, check=True
    )
    assert process.stdout == "[]\n"
