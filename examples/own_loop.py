"""Your own network, data and training loop, searched by the service.

A loop of your own becomes an objective: a function that gets a trial (settings, seed, folder) and
returns its score. This one trains once and prints the score; its study, examples/own_loop.toml,
searches it in two spaces, with budgets, retries, resuming, fresh runs and the verdict:

    python examples/own_loop.py

    PYTHONPATH=examples TUNER_WORKLOADS=own_loop tuner run examples/own_loop.toml
"""

import torch
from sklearn.datasets import make_moons
from torch import nn
from torch.nn import functional as F

STEPS_PER_EPOCH = 8


def objective(trial, noise=0.2):
    """Train a small network with a binary layer on two moons; validation accuracy, and test's."""
    torch.manual_seed(trial.seed)
    points, labels = make_moons(1200, noise=noise, random_state=0)
    parts = torch.tensor(points, dtype=torch.float32).split((512, 344, 344))
    labels = torch.tensor(labels).split((512, 344, 344))

    net = nn.Sequential(
        *(nn.Linear(2, 32), nn.BatchNorm1d(32), nn.Hardtanh()),
        *(nn.Linear(32, 32, bias=False), nn.BatchNorm1d(32), nn.Hardtanh()),
        nn.Linear(32, 2),
    )
    binary = net[3].weight
    rule = trial.optimizer([binary], steps=trial.epochs * STEPS_PER_EPOCH)
    adam = torch.optim.Adam([p for p in net.parameters() if p is not binary], lr=1e-2)

    first, checkpoint = 1, trial.folder / "checkpoint.pt"
    if checkpoint.exists():  # an earlier attempt was interrupted
        first, *states = torch.load(checkpoint)
        for part, state in zip((net, rule, adam), states, strict=True):
            part.load_state_dict(state)

    def accuracy(part):
        net.eval()
        hits = net(parts[part]).argmax(1) == labels[part]
        net.train()
        return hits.float().mean().item()

    for epoch in range(first, trial.epochs + 1):
        for batch in torch.randperm(512).view(STEPS_PER_EPOCH, -1):
            F.cross_entropy(net(parts[0][batch]), labels[0][batch]).backward()
            for optimizer in (rule, adam):
                optimizer.step()
                optimizer.zero_grad()
        states = [part.state_dict() for part in (net, rule, adam)]
        torch.save([epoch + 1, *states], checkpoint)
        trial.report(epoch, accuracy(1))
        if trial.should_stop:
            break
    return (accuracy(1), accuracy(2)) if trial.test else accuracy(1)


if __name__ == "__main__":
    from tuner.search.objective import once

    print(f"accuracy {once(objective, {'alpha': 0.01}, rule='filter_flip', epochs=20):.1%}")
