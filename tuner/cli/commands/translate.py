"""``tuner translate``: settings of SGD on latent weights to a gradient filter, and back."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tuner.errors import InvalidInput
from tuner.optim.equivalence import FilterRecord
from tuner.rules import Setting
from tuner.translation import EXAMPLE_RATE, filter_of_sgd, sgd_of_filter

_HOLDS = {True: Text("yes", "green"), False: Text("no", "red"), None: Text("open", "yellow")}


def translate(
    learning_rate: Annotated[float | None, typer.Option(help="eta, positive")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="lambda, >= 0 \\[0]")] = None,
    momentum: Annotated[float | None, typer.Option(help="mu, in \\[0, 1) \\[0]")] = None,
    coupled: Annotated[
        bool | None,
        typer.Option(
            "--coupled/--decoupled",
            help="weight decay inside the momentum, as in torch.optim.SGD \\[coupled]",
        ),
    ] = None,
    nesterov: Annotated[bool, typer.Option("--nesterov", help="Nesterov momentum")] = False,
    dampening: Annotated[float | None, typer.Option(help="torch's, in \\[0, 1] \\[0]")] = None,
    init_scale: Annotated[float | None, typer.Option(help="bound on |w0| \\[1]")] = None,
    clip: Annotated[float | None, typer.Option(help="bound on |w| \\[inf]")] = None,
    scaling: Annotated[bool, typer.Option("--scaling", help="scale by mean|w|")] = False,
    alpha: Annotated[float | None, typer.Option(help="the other way: in (0, 1]")] = None,
    gamma: Annotated[float | None, typer.Option(help="with --alpha: in (0, 1] \\[1]")] = None,
    schedule: Annotated[
        str, typer.Option(help="of learning rate or alpha: constant, linear, cosine, step")
    ] = "constant",
    steps: Annotated[int | None, typer.Option(help="length of the run")] = None,
    gradient_max: Annotated[float | None, typer.Option(help="largest |gradient|")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Say which gradient filter a setting of SGD is, or which SGD a filter is.

    --learning-rate: the filter, what the equivalence needs, redundant knobs.

    --alpha: the settings of SGD, of both kinds, that are this filter.

    For example:

    tuner translate --learning-rate .1 --weight-decay 5e-4 --momentum .9 --steps 50000

    tuner translate --learning-rate .1 --weight-decay .1 --momentum .9 --json

    tuner translate --alpha 1e-3 --gamma .1
    """
    numbers = {
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "momentum": momentum,
        "coupled": coupled,
        "nesterov": nesterov or None,
        "dampening": dampening,
        "init_scale": init_scale,
        "clip": clip,
        "scaling": scaling or None,
    }
    given = {name: value for name, value in numbers.items() if value is not None}
    try:
        _check_one_way(given, alpha=alpha, gamma=gamma, gradient_max=gradient_max)
        if alpha is None:
            settings = {"coupled": True, **given, "learning_rate_decay": schedule}
            record, extra = filter_of_sgd(settings, steps, gradient_max=gradient_max)
            page = _filter_page(record, settings)
        else:
            gamma = 1.0 if gamma is None else gamma
            record, extra = sgd_of_filter(alpha, gamma, schedule=schedule, steps=steps)
            page = _sgd_page(record, extra)
    except InvalidInput as error:
        Console(stderr=True).print(Text(f"tuner: {error}"), soft_wrap=True)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps({**asdict(record), **extra}, indent=2, allow_nan=False))
    else:
        Console().print(page)


def _check_one_way(
    given: Mapping[str, Setting],
    *,
    alpha: float | None,
    gamma: float | None,
    gradient_max: float | None,
) -> None:
    """Refuse a mixture of the two ways, and a way that lacks its main argument."""
    magnitudes = [_flag(name, value) for name, value in given.items()]
    magnitudes += ["--gradient-max"] if gradient_max is not None else []
    filters = [
        flag for flag, value in (("--alpha", alpha), ("--gamma", gamma)) if value is not None
    ]
    if filters and magnitudes:
        raise InvalidInput(
            f"translate: {' '.join(filters)} and {' '.join(magnitudes)} are two directions; "
            "give --alpha and --gamma alone, or --learning-rate and what goes with it"
        )
    if filters and alpha is None:
        raise InvalidInput("translate: --gamma needs --alpha beside it")
    if not filters and "learning_rate" not in given:
        got = " ".join(magnitudes) or "neither"
        raise InvalidInput(f"translate: give --learning-rate or --alpha, got {got}")


def _flag(name: str, value: Setting) -> str:
    if name == "coupled":
        return "--coupled" if value else "--decoupled"
    return f"--{name.replace('_', '-')}"


def _filter_page(record: FilterRecord, settings: Mapping[str, Setting]) -> Group:
    """The filter of SGD settings, its conditions and the seven knobs."""
    kind = "torch.optim.SGD" if settings["coupled"] else "SGD with decoupled weight decay"
    freed = sum(knob.redundant is True for knob in record.redundant)
    conditions, knobs = _table("Condition", "Holds"), _table("Knob", "Redundant")
    for condition in record.conditions:
        conditions.add_row(_words(condition.name), _HOLDS[condition.holds], condition.why)
    for knob in record.redundant:
        verdict = Text({True: "yes", False: "no", None: "open"}[knob.redundant])
        knobs.add_row(_words(knob.name), verdict, knob.why)
    return Group(
        Text(f"{kind} as a gradient filter", "bold"),
        _facts(record),
        Text("What the equivalence needs", "bold"),
        conditions,
        Text(),
        Text(f"The seven magnitude knobs: {freed} redundant here", "bold"),
        knobs,
    )


def _sgd_page(record: FilterRecord, sgd: Mapping[str, Mapping[str, float]]) -> Group:
    """The SGD settings of a filter."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("SGD", "momentum", "eta lambda", "for example"):
        table.add_column(column)
    for name, words in (("decoupled", "decoupled"), ("coupled", "torch.optim.SGD")):
        pair = sgd[name]
        table.add_row(
            words,
            f"{pair['momentum']:.6g}",
            f"{pair['product']:.4g}",
            f"learning rate {EXAMPLE_RATE:g}, weight decay {pair['weight_decay']:.4g}",
        )
    notes = "Exact from w0 = 0, and from any other start once that is forgotten; without a clip."
    if record.schedule.kind != "constant":
        notes += (
            "\nUnder this schedule the decoupled row decays its learning rate like alpha; "
            "torch's SGD would have to move its momentum too."
        )
    return Group(
        Text("Gradient filter", "bold"),
        _facts(record),
        Text("The same as SGD on latent weights", "bold"),
        table,
        Text(notes, "dim"),
    )


def _facts(record: FilterRecord) -> Table:
    """The filter's numbers, one a line."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    if record.alpha is not None and record.gamma is not None:
        table.add_row("alpha", f"{record.alpha:.4g}")
        table.add_row("gamma", f"{record.gamma:.4g}")
    else:
        why = next(c.why for c in record.conditions if c.name == "real_filter")
        table.add_row("alpha, gamma", f"none: {why}")
        if record.sos is not None:
            table.add_row("sos", " ".join(f"{number:.10g}" for number in record.sos[0]))
    ends = ""
    if record.schedule.last_alpha is not None and record.schedule.last_gamma is not None:
        ends = (
            f"; at the last step alpha {record.schedule.last_alpha:.4g}"
            f", gamma {record.schedule.last_gamma:.4g}"
        )
    table.add_row("schedule", f"{record.schedule.kind}: {record.schedule.map}{ends}")
    table.add_row("start state", f"{record.start_state}; |s0| <= {record.start_bound or 0:.4g}")
    half_life, ratio = record.half_life_steps, record.flip_ratio
    table.add_row("half-life", "none" if half_life is None else f"{half_life:,.4g} steps")
    table.add_row(
        "flip ratio",
        "not predicted"
        if ratio is None
        else f"{100 * ratio:.4g}% of the signs per step, under white-noise gradients",
    )
    table.add_row("", "")
    return table


def _table(name: str, verdict: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column(name, no_wrap=True)
    table.add_column(verdict)
    table.add_column("Why")
    return table


def _words(name: str) -> str:
    return name.replace("_", " ")
