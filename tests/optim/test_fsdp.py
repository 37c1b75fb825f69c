"""FullyShardedDataParallel, in two processes: right, or refused in a sentence."""

import copy
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from tests.optim.common import MAKERS, make, noise
from tuner.bnn import binary, binary_parameters
from tuner.errors import InvalidInput
from tuner.optim import Binary, FilterFlip

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::FutureWarning")]
N_PROCESSES = 2
WHOLE = {
    "latent_sgd scaled": "LatentSGD: scaling needs whole output channels",
    "target_flip_ratio": "TargetFlipRatio: it counts the flips of whole parameters",
}
"""Those that need whole parameters, and what they say of parts."""
OTHERS = [name for name in MAKERS if name not in WHOLE]  # in one order: the processes talk


def network() -> nn.Sequential:
    torch.manual_seed(0)
    hidden = binary(nn.Linear(6, 7, bias=False))
    return nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), hidden, nn.Linear(7, 2))


def sharded(*, by_layer: bool, original: bool = True) -> nn.Module:
    from torch.distributed.fsdp import FullyShardedDataParallel

    shard = partial(
        FullyShardedDataParallel, use_orig_params=original, device_id=torch.device("cpu")
    )
    net = network()
    if by_layer:
        net[2] = shard(net[2])
    return shard(net)


def optimizer(net: nn.Module, name: str) -> Binary:
    return Binary(net, partial(make, name), partial(torch.optim.Adam, lr=0.01))


def losses(net: nn.Module, binary: Binary, begin: int) -> torch.Tensor:
    seen = []
    for step in range(begin, begin + 4):
        loss = net(noise(step, 8, 5)).square().sum()
        binary.zero_grad()
        loss.backward()
        binary.step()
        seen.append(loss.detach())
    return torch.stack(seen)


def learns_as_a_whole_one(name: str, *, by_layer: bool) -> None:
    whole, parts = network(), sharded(by_layer=by_layer)
    plain, ours = optimizer(whole, name), optimizer(parts, name)
    torch.testing.assert_close(losses(parts, ours, 0), losses(whole, plain, 0))
    flips = ours.rule.flips.clone()
    dist.all_reduce(flips)
    assert flips == plain.rule.flips
    saved, weights = copy.deepcopy(ours.state_dict()), copy.deepcopy(parts.state_dict())
    again = sharded(by_layer=by_layer)
    again.load_state_dict(weights)
    resumed = optimizer(again, name)
    resumed.load_state_dict(saved)
    torch.testing.assert_close(losses(again, resumed, 4), losses(parts, ours, 4))


def in_a_process(rank: int, file: str) -> None:
    """All that is tried, in one of the processes: each start takes seconds."""
    store = dist.FileStore(file, N_PROCESSES)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=N_PROCESSES)
    for by_layer in (True, False):
        for name in OTHERS if by_layer else OTHERS[:1]:
            learns_as_a_whole_one(name, by_layer=by_layer)
        for name, words in WHOLE.items():
            with pytest.raises(InvalidInput, match=words):
                optimizer(sharded(by_layer=by_layer), name)
        flat = sharded(by_layer=by_layer, original=False)
        with pytest.raises(InvalidInput, match=r"weight is a tensor, .* use_orig_params=True"):
            binary_parameters(flat)
        for name in OTHERS:
            with pytest.raises(InvalidInput, match=r"of FullyShardedDataParallel's in one"):
                make(name, flat.parameters())
    before = network()
    flip = FilterFlip([before[2].weight], alpha=0.1)
    from torch.distributed.fsdp import FullyShardedDataParallel

    late = FullyShardedDataParallel(before, use_orig_params=True, device_id=torch.device("cpu"))
    late(noise(0, 8, 5)).square().sum().backward()
    with pytest.raises(RuntimeError, match="make an optimizer after its network has its shape"):
        flip.step()
    dist.destroy_process_group()


def test_two_processes_learn_as_one_or_are_refused(tmp_path: Path):
    torch.multiprocessing.spawn(in_a_process, (str(tmp_path / "store"),), N_PROCESSES)
