"""``tuner train``: one configuration of either parametrization, a few seeds at once."""

import math
from dataclasses import asdict
from statistics import mean, stdev
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from tuner.cli.present import AsJson, as_text, setting
from tuner.compare.words import written
from tuner.errors import InvalidInput
from tuner.rules import Setting, complete
from tuner.search.declared.spaces import load_space
from tuner.search.declared.spec import load
from tuner.wording import count
from tuner.workload import Objective, Workload

if TYPE_CHECKING:
    from tuner.train import EpochReport, TrialResult


def train(
    spec: Annotated[
        str, typer.Argument(help="a TOML file or a declared study, whose workload is trained")
    ] = "digits",
    space: Annotated[
        str, typer.Option(help="the search space whose default settings are taken")
    ] = "filter",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="change a setting")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="epochs \\[the workload's]")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="how many seeds")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**52, help="the first seed")] = 0,
    device: Annotated[str, typer.Option(help="a torch device")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Train one configuration and print accuracy and flip ratio per epoch.

    For example:

    tuner train digits --set alpha=3e-3 --set gamma=0.2 --seeds 5

    tuner train digits --space magnitude --set weight_decay=1e-2 --epochs 10 --json
    """
    chosen = load_space(space)
    given = dict(setting(text, "--set") for text in settings or [])
    full = complete(chosen.rule, {**chosen.fixed, **chosen.defaults, **given})
    workload = load(spec).workload
    if isinstance(workload, Objective):
        raise InvalidInput(
            f"{spec}: trains by an objective of your own ({workload.objective}); call it, or "
            "search it with: tuner run"
        )
    if epochs is not None:
        workload = Workload(**{**vars(workload), "epochs": epochs})

    import torch

    from tuner.optim.equivalence import describe, describe_from_real
    from tuner.train import TrialConfig, trials_per_batch
    from tuner.train import train as train_trials

    _check_device(torch.device, device)
    console = Console(stderr=as_json)

    def show(report: "EpochReport") -> tuple[int, ...]:
        console.print(
            f"epoch {report.epoch:>3}/{workload.epochs}  loss {mean(report.train_loss):.4f}  "
            f"validation {written(mean(report.val_accuracy), workload.unit)}  "
            f"flip ratio {mean(report.flip_ratio):.2e}",
            highlight=False,
        )
        return ()

    configs = [TrialConfig(chosen.rule, full, seed + i) for i in range(seeds)]
    size = trials_per_batch(workload, device)
    results = [
        result
        for first in range(0, seeds, size)
        for result in train_trials(
            workload, configs[first : first + size], show, device=device, test=True
        )
    ]
    described = describe_from_real if workload.real_epochs else describe
    record = described(chosen.rule, full, results[0].steps)
    if as_json:
        typer.echo(as_text(_document(workload, chosen.rule, full, results, asdict(record))))
        return
    console.print(
        f"validation {_spread([r.val_accuracy for r in results], workload.unit)}", highlight=False
    )
    console.print(
        f"test       {_spread([r.test_accuracy or 0.0 for r in results], workload.unit)}",
        highlight=False,
    )
    if diverged := sum(result.diverged for result in results):
        console.print(f"diverged, so they score chance: {diverged} of {count(seeds, 'seed')}")
    if record.alpha is not None:
        open_points = [c.name for c in record.conditions if c.holds is not True]
        exact = f"not shown to hold: {', '.join(open_points)}" if open_points else "exactly"
        console.print(
            f"as a filter: alpha {record.alpha:.3g}, gamma {record.gamma or 1:.3g} ({exact})",
            highlight=False,
        )


def _check_device(make: type, device: str) -> None:
    """Refuse a device that torch does not know or this machine does not have."""
    import torch

    try:
        torch.zeros(1, device=make(device))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(f"--device {device!r} cannot be used here: {reason}") from None


def _spread(values: list[float], unit: str) -> str:
    average = written(mean(values), unit)
    if len(values) == 1:
        return average
    spread = written(stdev(values), unit)
    return f"{average}, standard deviation {spread} over {len(values)} seeds"


def _document(
    workload: Workload,
    rule: str,
    settings: dict[str, Setting],
    results: "list[TrialResult]",
    record: dict[str, object],
) -> dict[str, object]:
    """What ``--json`` prints: workload, rule, settings, filter, and one entry per seed."""

    def finite(value: Setting) -> Setting | None:
        return value if not isinstance(value, float) or math.isfinite(value) else None

    return {
        "workload": asdict(workload),
        "rule": rule,
        "settings": {name: finite(value) for name, value in settings.items()},
        "filter": record,
        "seeds": [
            {
                "val_accuracy": result.val_accuracy,
                "test_accuracy": result.test_accuracy,
                "diverged": result.diverged,
                "seconds": result.seconds,
                "curve": [
                    {name: finite(value) for name, value in asdict(point).items()}
                    for point in result.curve
                ],
            }
            for result in results
        ],
    }
