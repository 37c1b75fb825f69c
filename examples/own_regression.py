"""Numbers instead of classes, from data that are never held in memory, scored by your own metric.

How many times does a noisy wave rise and fall? The data are a torch data set marked by
``streamed``: each wave is read when a batch needs it. Training lowers the squared error
(``loss = "mse"``), and settings are selected by the mean error, a function of outputs and targets;
both are named in examples/own_regression.toml. By itself this trains one trial:

    python examples/own_regression.py

    PYTHONPATH=examples TUNER_WORKLOADS=own_regression tuner run examples/own_regression.toml
"""

import torch
from torch.utils.data import Dataset

from tuner.bnn import streamed


class Waves(Dataset):
    """Waves of 32 points, each made when it is read, as a file would be decoded."""

    def __init__(self, n, seed, noise):
        draw = torch.Generator().manual_seed(seed)
        self.targets = 1 + 4 * torch.rand(n, generator=draw)  # how often each rises and falls
        self.seeds = torch.randint(2**31, (n,), generator=draw).tolist()
        self.noise = noise

    def __len__(self):
        return len(self.seeds)

    def __getitem__(self, index):
        draw = torch.Generator().manual_seed(self.seeds[index])
        turns = torch.linspace(0, 1, 32) * self.targets[index]
        wave = torch.cos(2 * torch.pi * turns)
        return wave + self.noise * torch.randn(32, generator=draw), self.targets[index]


def load(noise=0.2):
    """600 waves to train and validate on, 200 to test on."""
    return streamed(Waves(600, 0, noise)), streamed(Waves(200, 1, noise))


def error(outputs, targets):
    """Mean error, in turns."""
    return (outputs[:, 0] - targets).abs().mean()


if __name__ == "__main__":
    import os

    os.environ["TUNER_WORKLOADS"] = "own_regression"  # what may be imported by name
    from tuner.train import TrialConfig, train
    from tuner.workload import Workload

    workload = Workload(
        dataset="own_regression:load",
        loss="mse",
        metric="own_regression:error",
        direction="minimize",
        widths=(64, 64),
        epochs=10,
        real_learning_rate=3e-2,
    )
    trial = TrialConfig("filter_flip", {"alpha": 1e-2, "gamma": 0.1}, seed=0)
    (trained,) = train(workload, [trial], test=True)
    print(f"mean error of a test wave: {trained.test_accuracy:.2f} turns of 1 to 5")
