"""``tuner transfer``: a finished search of latent weights, carried into a space of filters."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tuner.cli.present import AsJson, as_text
from tuner.errors import InvalidInput
from tuner.search.declared.carried import Carried
from tuner.search.foreign.transfer.carrying import Transfer
from tuner.wording import by_options

_SHOWN = 12
"""Numbers of trials in a row of the table; the others are counted."""


def transfer(
    study: Annotated[str, typer.Argument(help="the finished study, as STORAGE::STUDY")],
    to: Annotated[str, typer.Option("--to", help="the space of filters to carry it into")],
    mapping: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML: what the study's parameters are \\[called learning_rate or "
            "log10_learning_rate, and so on]",
        ),
    ] = None,
    least: Annotated[
        float,
        typer.Option(
            "--weight",
            help="least weight carried: 1 exact, 0.5 exact if conditions hold that are not "
            "known, 0.25 some do not hold",
        ),
    ] = 0.5,
    objective: Annotated[
        str | None,
        typer.Option(
            help="the one whose values are carried, of several: its name or number from 0"
        ),
    ] = None,
    arm: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="write an arm that begins from them, to put in a study"),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            metavar="STORAGE::STUDY",
            help="make an Optuna study that holds them, such as a.db::new",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Carry a finished search of latent weights over into the space of filters.

    Each trial becomes the filter that it was, so that a search that learns begins from them. What
    is no filter, or not exactly, is named with the reason.

    For example:

    tuner transfer results/digits.db::digits/magnitude --to filter --arm warm.toml

    tuner transfer mine.db::sgd --to filter --mapping mine.toml --into warm.db::filter
    """
    if not 0 < least <= 1:
        raise InvalidInput(f"--weight: must be in (0, 1], got {least}")
    if arm is not None and not arm.absolute().parent.is_dir():
        raise InvalidInput(f"--arm: the folder {arm.parent} does not exist; make it")
    found = _read(study, to, mapping, least, objective)
    if arm is not None or into is not None:
        _write(found, arm, into)
    if as_json:
        typer.echo(as_text(_plain(found)), nl=False)
    else:
        _show(found, Console())


def _read(
    study: str, to: str, mapping: Path | None, least: float, objective: str | None
) -> Transfer:
    from tuner.search.declared.spaces import load_space
    from tuner.search.foreign.address import parse
    from tuner.search.foreign.storages.kinds import study_at
    from tuner.search.foreign.transfer.carrying import transfer as carry
    from tuner.search.foreign.transfer.mapping import read_mapping

    space, said = load_space(to), None if mapping is None else read_mapping(mapping)
    record = study_at(parse(study))
    with by_options():
        return carry(
            record, space, source=record.name, least=least, mapping=said, objective=objective
        )


def _write(found: Transfer, arm: Path | None, into: str | None) -> None:
    from tuner.search.foreign.transfer.warm_study import make_study

    carried = found.carried  # refuses where nothing was
    if into is not None:
        make_study(into, found)
    if arm is not None:
        arm.write_text(_as_toml(found, carried), encoding="utf-8")


def _as_toml(found: Transfer, carried: Carried) -> str:
    """An arm of a study, as TOML: JSON's texts, numbers and lists are TOML's too."""
    lines = [
        "[[arms]]",
        f"name = {json.dumps(f'{found.space.name}_warm')}",
        f"space = {json.dumps(found.space.name)}",
        'sampler = "tpe"',
        "",
        "[arms.carried]",
        f"source = {json.dumps(carried.source)}",
    ]
    if carried.minimized is not None:
        lines.append(f"minimized = {json.dumps(carried.minimized)}")
    if carried.workload is not None:
        lines.append(f"workload = {json.dumps(carried.workload)}")
    lines.append("trials = [")
    for trial in carried.trials:
        settings = ", ".join(f"{k} = {json.dumps(v)}" for k, v in trial.settings.items())
        lines.append(
            f"  {{number = {trial.number}, value = {trial.value!r}, weight = {trial.weight!r}, "
            f"settings = {{{settings}}}}},"
        )
    return "\n".join([*lines, "]", ""])


def _plain(found: Transfer) -> dict[str, object]:
    return {
        "source": found.source,
        "space": found.space.name,
        "carried": [
            {**trial.model_dump(), "reason": found.reasons.get(trial.number, "")}
            for trial in found.trials
        ],
        "left_out": [asdict(each) for each in found.left_out],
    }


def _show(found: Transfer, console: Console) -> None:
    exact = sum(trial.weight == 1 for trial in found.trials)
    ended = len(found.trials) + len(found.left_out)
    console.print(
        Text(
            f"{len(found.trials):,} of {ended:,} finished trials of {found.source} carried into "
            f"{found.space.name}, {exact:,} of them exactly"
        )
    )
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("Trials", "Weight", "Why"):
        table.add_column(column)
    inexact = {t.number: t.weight for t in found.trials if t.number in found.reasons}
    for weight in sorted(set(inexact.values()), reverse=True):
        at = [number for number, each in inexact.items() if each == weight]
        for why, numbers in _by_reason({n: found.reasons[n] for n in at}):
            table.add_row(_listed(numbers), f"{weight:g}", why)
    for why, numbers in _by_reason({each.number: each.reason for each in found.left_out}):
        table.add_row(_listed(numbers), "left out", why)
    if table.row_count:
        console.print(table)


def _by_reason(reasons: dict[int, str]) -> list[tuple[str, list[int]]]:
    """Each reason with the trials that have it, the most frequent first; numbers in it aside."""
    kinds = {number: _kind(why) for number, why in reasons.items()}
    return [
        (
            next(reasons[number] for number in reasons if kinds[number] == kind),
            [number for number in reasons if kinds[number] == kind],
        )
        for kind, _ in Counter(kinds.values()).most_common()
    ]


def _kind(why: str) -> str:
    """A reason without its numbers."""
    return "".join(c for c in why if not c.isdigit() and c not in ".e+-")


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_SHOWN]))
    more = len(numbers) - _SHOWN
    return shown if more <= 0 else f"{shown} and {more:,} more"
