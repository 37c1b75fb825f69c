"""Your own network and your own data, searched by the service: no loop to write.

A network is a function of one sample's shape and the number of classes that returns a torch
module, its binary layers marked; data are a function that returns train and test. Both are named
in examples/own_network.toml, and the service does the rest. By itself this trains one trial:

    python examples/own_network.py

    PYTHONPATH=examples TUNER_WORKLOADS=own_network tuner run examples/own_network.toml
"""

import torch
from sklearn.datasets import make_moons
from torch import nn

from tuner.bnn import binary, sign_ste


class Sign(nn.Module):
    """+1 and -1, with the straight-through gradient."""

    def forward(self, x):
        """Signs of x."""
        return sign_ste(x)


def make(shape, n_classes, width=64):
    """A network with one binary layer."""
    return nn.Sequential(
        *(nn.Linear(shape[0], width), nn.BatchNorm1d(width), Sign()),
        *(binary(nn.Linear(width, width, bias=False)), nn.BatchNorm1d(width), Sign()),
        nn.Linear(width, n_classes),
    )


def load(noise=0.2):
    """Two moons: 900 points to train and validate on, 300 to test on."""
    points, labels = make_moons(1200, noise=noise, random_state=0)
    points, labels = torch.tensor(points, dtype=torch.float32), torch.tensor(labels)
    return (points[:900], labels[:900]), (points[900:], labels[900:])


if __name__ == "__main__":
    import os

    os.environ["TUNER_WORKLOADS"] = "own_network"  # what may be imported by name
    from tuner.train import TrialConfig, train
    from tuner.workload import Workload

    named = {"dataset": "own_network:load", "model": "own_network:make"}
    workload = Workload(**named, epochs=20, real_learning_rate=3e-2)
    trial = TrialConfig("filter_flip", {"alpha": 1e-3, "gamma": 0.1}, seed=0)
    (trained,) = train(workload, [trial], test=True)
    print(f"test accuracy {trained.test_accuracy:.1%}")
