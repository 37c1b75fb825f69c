"""Two processes that train replicas of a ReActNet, each on its half of every batch.

python -m tests.optim.replicas FOLDER    # writes what the networks are in the end
"""

import sys
from multiprocessing import Process
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tests.optim.common import make
from tuner.bnn import binary_parameters, real_parameters
from tuner.bnn.models import build_network
from tuner.optim.base import BinaryOptimizer
from tuner.optim.uncompiled import Adam
from tuner.workload import Workload

RULES = ("filter_flip", "latent_adam", "target_flip_ratio")
STEPS = 6


def network() -> nn.Module:
    """The same in every process."""
    return build_network(Workload(model="reactnet", widths=(4, 8, 8)), (3, 12, 12), 5, [3])


def optimizers(net: nn.Module, rule: str) -> tuple[BinaryOptimizer, torch.optim.Adam]:
    return make(rule, binary_parameters(net)), Adam(real_parameters(net), lr=1e-2)


def half(step: int, rank: int) -> tuple[Tensor, Tensor]:
    """Images [1, N, C, H, W] and labels [N] of one process."""
    generator = torch.Generator().manual_seed(2 * step + rank)
    images = torch.randn(1, 8, 3, 12, 12, generator=generator)
    return images, torch.randint(0, 5, (8,), generator=generator)


def loss(net: nn.Module, step: int, rank: int) -> Tensor:
    images, labels = half(step, rank)
    return nn.functional.cross_entropy(net(images)[0], labels)


def trained(rank: int, rule: str) -> dict[str, Tensor]:
    """The parameters after a loop that anybody would write, by torch's own replication."""
    net = network()
    replica = nn.parallel.DistributedDataParallel(net)
    both = optimizers(net, rule)
    for step in range(STEPS):
        for optimizer in both:
            optimizer.zero_grad()
        loss(replica, step, rank).backward()
        for optimizer in both:
            optimizer.step()
    return {name: param.detach().clone() for name, param in net.named_parameters()}


def run(rank: int, folder: Path) -> None:
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    torch.save({rule: trained(rank, rule) for rule in RULES}, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    import torch._dynamo  # replication imports it: once is enough

    torch.set_num_threads(1)
    both = [Process(target=run, args=(rank, Path(sys.argv[1]))) for rank in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    sys.exit(any(process.exitcode for process in both))
