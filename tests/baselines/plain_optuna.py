"""A search over binary networks in plain PyTorch and Optuna: the opponent in ``tuner bench``.

What a competent user writes without this software, in one file that needs none of it: latent
weights under a straight-through estimator, ``torch.optim`` and ``DataLoader``, one
``study.optimize`` on SQLite. Start it in several processes and they share the study:

    python plain_optuna.py --trials 20 --storage sqlite:///plain.db
"""

import argparse
import time
from itertools import pairwise
from typing import NamedTuple

import optuna
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import transforms


class SignSTE(torch.autograd.Function):
    """Sign forward; backward the gradient where |x| <= 1 (straight-through estimator)."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * (x.abs() <= 1)


class Sign(nn.Module):
    """Binary activations."""

    def forward(self, x):
        return SignSTE.apply(x)


class BinaryLinear(nn.Linear):
    """A linear layer whose weight is the sign of a latent one; no bias."""

    def forward(self, x):
        return F.linear(x, SignSTE.apply(self.weight))


class BinaryConv2d(nn.Conv2d):
    """A convolution whose weight is the sign of a latent one; no bias."""

    def forward(self, x):
        return F.conv2d(x, SignSTE.apply(self.weight), stride=self.stride, padding=self.padding)


def mlp(shape, n_classes, widths):
    """Linear, batch norm, sign; again; a last linear layer. The first and the last are real."""
    channels, height, width = shape
    first = nn.Linear(channels * height * width, widths[0], bias=False)
    layers = [nn.Flatten(), first, nn.BatchNorm1d(widths[0]), Sign()]
    for n_in, n_out in pairwise(widths):
        layers += [BinaryLinear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), Sign()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], n_classes))


def cnn(shape, n_classes, widths):
    """3x3 convolution, [pool], batch norm, sign; again; one linear layer over all positions."""
    channels, height, width = shape
    layers = []
    for i, (n_in, n_out) in enumerate(pairwise([channels, *widths])):
        conv = BinaryConv2d if i else nn.Conv2d
        layers.append(conv(n_in, n_out, 3, padding=1, bias=False))
        if i % 2:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        layers += [nn.BatchNorm2d(n_out), Sign()]
    last = nn.Linear(widths[-1] * height * width, n_classes)
    return nn.Sequential(*layers, nn.Flatten(), last)


class BiRealBlock(nn.Module):
    """Sign, binary 3x3 convolution, batch norm, and a real-valued shortcut around them."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv = BinaryConv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(n_out)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.AvgPool2d(2, ceil_mode=True))
        if n_in != n_out:
            self.shortcut.extend([nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out)])

    def forward(self, x):
        return self.norm(self.conv(SignSTE.apply(x))) + self.shortcut(x)


def bireal_resnet20(shape, n_classes, widths):
    """A real stem, stages of six Bi-Real blocks, the mean over positions, a linear layer."""
    layers = [nn.Conv2d(shape[0], widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0])]
    n_in = widths[0]
    for stage, n_out in enumerate(widths):
        for block in range(6):
            layers.append(BiRealBlock(n_in, n_out, 2 if stage and not block else 1))
            n_in = n_out
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, n_classes)
    )


MODELS = {"mlp": mlp, "cnn": cnn, "bireal_resnet20": bireal_resnet20}


class Images(Dataset):
    """uint8 images [n, C, H, W] through torchvision transforms, as its own data sets do it."""

    def __init__(self, images, labels, mean, std):
        images = images.permute(0, 2, 3, 1).numpy()
        self.images = images[..., 0] if images.shape[-1] == 1 else images
        self.labels = labels.tolist()
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(mean.tolist(), std.tolist())]
        )

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def tensors(images, labels, mean, std):
    """The same data normalised once and kept as floats, for those who have the memory."""
    scaled = images.float() / 255
    return TensorDataset((scaled - mean.view(-1, 1, 1)) / std.view(-1, 1, 1), labels)


class Epoch(NamedTuple):
    """Validation accuracy after an epoch, and how long its two parts took."""

    val_accuracy: float
    train_seconds: float
    val_seconds: float


def train(
    model,
    train_set,
    val_set,
    *,
    epochs,
    batch_size,
    learning_rate,
    momentum,
    weight_decay,
    real_learning_rate=1e-2,
):
    """Train the network; one ``Epoch`` per epoch.

    SGD moves the latent weights, Adam the real-valued parameters; both decay along a cosine.
    """
    train_loader = DataLoader(train_set, batch_size, shuffle=True, drop_last=True)
    val_loader = DataLoader(val_set, 512)
    binary = [m.weight for m in model.modules() if isinstance(m, BinaryLinear | BinaryConv2d)]
    real = [p for p in model.parameters() if all(p is not weight for weight in binary)]
    sgd = torch.optim.SGD(binary, learning_rate, momentum, weight_decay=weight_decay)
    adam = torch.optim.Adam(real, real_learning_rate)
    steps = epochs * len(train_loader)
    schedulers = [CosineAnnealingLR(optimizer, steps) for optimizer in (sgd, adam)]
    curve = []
    for _ in range(epochs):
        start = time.perf_counter()
        model.train()
        for images, labels in train_loader:
            loss = F.cross_entropy(model(images), labels)
            sgd.zero_grad()
            adam.zero_grad()
            loss.backward()
            sgd.step()
            adam.step()
            for scheduler in schedulers:
                scheduler.step()
        trained = time.perf_counter()
        accuracy = evaluate(model, val_loader)
        curve.append(Epoch(accuracy, trained - start, time.perf_counter() - trained))
    return curve


@torch.no_grad()
def evaluate(model, loader):
    """Share of the data that the network classifies rightly."""
    model.eval()
    right = sum((model(images).argmax(1) == labels).sum().item() for images, labels in loader)
    return right / len(loader.dataset)


def search(make_model, train_set, val_set, *, epochs, batch_size, study, n_trials, n_jobs=1):
    """Run random trials of the magnitude parametrization; the study records their curves."""

    def objective(trial):
        curve = train(
            make_model(),
            train_set,
            val_set,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=trial.suggest_float("learning_rate", 1e-4, 10, log=True),
            momentum=1 - trial.suggest_float("one_minus_momentum", 1e-3, 1, log=True),
            weight_decay=trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True),
        )
        trial.set_user_attr("curve", curve)
        return curve[-1].val_accuracy

    study.optimize(objective, n_trials=n_trials, n_jobs=n_jobs)


def open_study(storage, name="plain"):
    """The study of that name, made if it is missing."""
    return optuna.create_study(
        storage=storage,
        study_name=name,
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(),
    )


def main():
    """Search on scikit-learn's 8x8 digits."""
    from sklearn.datasets import load_digits

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--storage", default="sqlite:///plain.db")
    options = parser.parse_args()
    digits = load_digits()
    images = torch.from_numpy(digits.images * (255 / 16)).byte()[:, None]
    data = tensors(images, torch.from_numpy(digits.target), torch.tensor(0.3), torch.tensor(0.37))
    train_set, val_set = torch.utils.data.random_split(
        data, [0.75, 0.25], torch.Generator().manual_seed(0)
    )
    search(
        lambda: mlp((1, 8, 8), 10, [64, 64, 64]),
        train_set,
        val_set,
        epochs=20,
        batch_size=64,
        study=open_study(options.storage),
        n_trials=options.trials,
        n_jobs=options.jobs,
    )


if __name__ == "__main__":
    main()
