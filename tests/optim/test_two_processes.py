"""Replicas in two processes that talk by gloo train as one network on both halves of batches."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.optim import replicas
from tuner.bnn import binary_parameters

ROOT = Path(__file__).resolve().parents[2]


def by_hand(rule: str) -> dict[str, Tensor]:
    """Both replicas in one process: each one's gradients, and their mean in the first."""
    nets = [replicas.network() for _ in range(2)]
    both = replicas.optimizers(nets[0], rule)
    for step in range(replicas.STEPS):
        nets[1].load_state_dict(nets[0].state_dict())
        for rank, net in enumerate(nets):
            net.zero_grad()
            replicas.loss(net, step, rank).backward()
        for ours, other in zip(*(net.parameters() for net in nets), strict=True):
            ours.grad = (ours.grad + other.grad) / 2
        for optimizer in both:
            optimizer.step()
    return dict(nets[0].named_parameters())


@pytest.mark.slow
def test_two_replicas_of_a_reactnet_train_as_one_network(tmp_path):
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.optim.replicas", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    binary = [p.shape for p in binary_parameters(replicas.network())]
    for rule in replicas.RULES:
        expected = by_hand(rule)
        for name, param in first[rule].items():
            assert torch.equal(param, second[rule][name]), (rule, name)
            torch.testing.assert_close(param, expected[name].detach())
        signs = [p for n, p in first[rule].items() if "conv.weight" in n]
        assert [p.shape for p in signs] == binary
        begun = dict(replicas.network().named_parameters())
        for name, param in first[rule].items():
            if "conv.weight" in name:
                assert set(param.unique().tolist()) == {-1.0, 1.0}
                assert bool((param != torch.where(begun[name] >= 0, 1.0, -1.0)).any()), name
