"""Objectives of all kinds, good and bad."""

# ruff: noqa: ARG001, T201

import os
import sys
import time

import torch
from pydantic import BaseModel, Field

NOT_A_FUNCTION = 3


def formula(trial, height=0.5, folder=""):
    """A score by formula; reports every epoch, goes on where it was, and counts its epochs."""
    counter = trial.folder / "epochs"
    done = int(counter.read_text()) if counter.exists() else 0
    for epoch in range(done + 1, trial.epochs + 1):
        counter.write_text(str(epoch))
        if folder:
            with open(os.path.join(folder, f"{trial.seed}"), "a") as file:
                file.write(f"{epoch}\n")
        trial.report(epoch, height * epoch / trial.epochs)
        if trial.should_stop:
            break
    score = height + trial.settings["x"] / 4
    return (score, score / 2) if trial.test else score


def plain(trial):
    """Reports nothing."""
    return trial.settings["x"]


def binary(trial):
    """Uses the update rule of its space."""
    torch.manual_seed(trial.seed)
    weight = torch.nn.Parameter(torch.randn(8))
    optimizer = trial.optimizer([weight], steps=10)
    for _ in range(10):
        ((weight.sum() - 3) ** 2).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert set(weight.tolist()) <= {-1.0, 1.0}
    return float((weight > 0).float().mean())


def prints(trial):
    """Prints, then raises."""
    print("one line")
    print("50%\r100%", file=sys.stderr)
    raise ValueError("my own trouble")


def nothing(trial):
    """Forgets to return."""


def exits(trial):
    """Ends the program."""
    sys.exit(3)


def losses(trial):
    """Returns no share."""
    return 17.5


def nan(trial):
    """Diverges."""
    return float("nan")


def swallows(trial):
    """Handles every error, and reports on although it is to stop."""
    for epoch in range(1, trial.epochs + 1):
        try:
            trial.report(epoch, 0.25)
        except Exception:
            continue
    return 1.0


def wrong_epochs(trial):
    """Counts from 0."""
    trial.report(0, 0.5)
    return 0.5


def loss(trial, unknown=False, scale=1.0):
    """A loss that no bound is known of; trials far out diverge."""
    x = trial.settings["x"]
    for epoch in range(1, trial.epochs + 1):
        trial.report(epoch, scale * (100 * x + 10 / epoch))
        if trial.should_stop:
            break
    score = float("nan") if x > 0.9 else scale * (100 * x + 10 / epoch)
    return (score, score + 1) if trial.test else score


def hangs(trial):
    """Waits for ever where x is large; prints before, and leaves a checkpoint."""
    print("waiting for what never comes")
    assert not (trial.folder / "mine").exists()
    (trial.folder / "mine").touch()
    if trial.settings["x"] > 0.5:
        time.sleep(1000)
    return trial.settings["x"]


class Options(BaseModel, extra="forbid"):
    """What ``modelled`` takes."""

    height: float = Field(default=0.5, le=1)
    name: str = "mine"


def modelled(trial, options: "Options"):
    """Has its options checked by a model."""
    return options.height + trial.settings["x"] / 4
