"""Weights in the hands of torch.distributed: one process, a real group."""

import copy
from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn

from tests.optim.common import MAKERS, make, noise, train, weight
from tuner.optim import Binary

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # torch's own, on being imported
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.parametrize("name", MAKERS),
]


@pytest.fixture(scope="module", autouse=True)
def _group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_sharded_weights_step_as_whole_ones(name):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Shard, distribute_tensor

    whole = weight()
    sharded = nn.Parameter(distribute_tensor(noise(0), init_device_mesh("cpu", (1,)), [Shard(0)]))
    plain, optimizer = make(name, [whole]), make(name, [sharded])
    for step in range(5):
        whole.grad = noise(step)
        plain.step()
        sharded.grad = distribute_tensor(noise(step), sharded.device_mesh, [Shard(0)])
        optimizer.step()
        assert int(optimizer.flips) == int(plain.flips)
    assert isinstance(sharded, DTensor)
    torch.testing.assert_close(sharded.full_tensor().detach(), whole.detach())
    with torch.no_grad():
        sharded.copy_(1e6 * distribute_tensor(noise(9), sharded.device_mesh, [Shard(0)]))
    with pytest.warns(UserWarning, match="others wrote"):
        optimizer.step()
    assert set(sharded.full_tensor().sign().unique().tolist()) == {-1.0, 1.0}


def test_a_distributed_checkpoint_goes_on(name):
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )

    for options in (StateDictOptions(), StateDictOptions(flatten_optimizer_state_dict=True)):
        net = nn.Linear(5, 6, bias=False)
        optimizer = make(name, net.parameters())
        train(optimizer, net.weight, 5)
        net.weight.grad = None
        saved = copy.deepcopy(get_optimizer_state_dict(net, optimizer, options=options))
        other = nn.Linear(5, 6, bias=False)
        other.load_state_dict(net.state_dict())
        with torch.no_grad():
            other.weight.mul_(0.5)
        resumed = make(name, other.parameters(), lr=0.9)
        set_optimizer_state_dict(other, resumed, saved, options=options)
        other.load_state_dict(net.state_dict())
        expected = train(optimizer, net.weight, 5, begin=5)
        assert torch.equal(train(resumed, other.weight, 5, begin=5), expected)


def test_an_optimizer_without_redundancy_takes_the_same_steps(name):
    from torch.distributed.optim import ZeroRedundancyOptimizer

    kind, driven, options = MAKERS[name]
    one, two = weight(), weight()
    plain = make(name, [one])
    shared = ZeroRedundancyOptimizer([two], optimizer_class=kind, **{driven: 0.2}, **options)
    decays = [torch.optim.lr_scheduler.StepLR(o, 2, 0.5) for o in (plain, shared)]
    for step in range(6):
        one.grad, two.grad = noise(step), noise(step)
        plain.step()
        shared.step()
        for decay in decays:
            decay.step()
    assert torch.equal(one, two)
    assert shared.optim.param_groups[0]["lr"] == pytest.approx(0.05)
    shared.consolidate_state_dict()
    assert shared.state_dict()["param_groups"][0]["step_count"] == 6


def test_replicated_networks_accumulate_without_talking(name):
    one, two = nn.Linear(5, 6, bias=False), nn.Linear(5, 6, bias=False)
    two.load_state_dict(one.state_dict())
    first, second = make(name, one.parameters()), make(name, two.parameters())
    replicated = nn.parallel.DistributedDataParallel(two)
    for step in range(4):
        x = noise(step, 4, 5)
        one(x).square().sum().backward()
        with replicated.no_sync():
            replicated(x[:2]).square().sum().backward()
        replicated(x[2:]).square().sum().backward()
        for optimizer in (first, second):
            optimizer.step()
            optimizer.zero_grad()
        torch.testing.assert_close(one.weight, two.weight)


def test_a_network_that_torch_shards_learns_as_one_that_it_does_not(name):
    from functools import partial

    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    from tuner.bnn import binarize, binary_parameters

    def network(sharded):
        torch.manual_seed(0)
        layers = [nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 6, bias=False), nn.Linear(6, 2)]
        net = binarize(nn.Sequential(*layers))
        if sharded:
            for layer in (net[2], net):
                fully_shard(layer, mesh=init_device_mesh("cpu", (1,)))
        optimizer = Binary(net, partial(make, name), partial(torch.optim.Adam, lr=0.01))
        return net, optimizer

    def losses(net, optimizer, begin, steps):
        seen = []
        for step in range(begin, begin + steps):
            loss = net(noise(step, 8, 5)).square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append(loss.detach())
        return torch.stack(seen)

    plain, sharded = network(False), network(True)
    assert len(binary_parameters(sharded[0])) == 1
    torch.testing.assert_close(losses(*sharded, 0, 5), losses(*plain, 0, 5))
    for options in (StateDictOptions(), StateDictOptions(flatten_optimizer_state_dict=True)):
        net, optimizer = sharded
        net.zero_grad()
        saved = copy.deepcopy(get_optimizer_state_dict(net, optimizer, options=options))
        other, resumed = network(True)
        other.load_state_dict(copy.deepcopy(net.state_dict()))
        set_optimizer_state_dict(other, resumed, saved, options=options)
        other.load_state_dict(copy.deepcopy(net.state_dict()))
        torch.testing.assert_close(losses(other, resumed, 5, 3), losses(net, optimizer, 5, 3))
