"""``tuner compare``: what finished trials say, ours or anyone's Optuna studies."""

from dataclasses import replace
from typing import Annotated

import numpy as np
import typer

from tuner.cli.present import Database, Folder, HtmlFile, JsonFile, Outputs, PictureFile
from tuner.compare import Comparison, Protocol
from tuner.compare.comparison import judged
from tuner.compare.protocol import ACCURACY
from tuner.config import database_url
from tuner.errors import InvalidInput, UnknownName
from tuner.search.database.store import open_store
from tuner.search.results.arms import arms as read_arms
from tuner.search.results.arms import arms_in_full
from tuner.search.results.foreign import Direction, check_workloads, foreign_arm
from tuner.search.results.optuna_importance import importances

SAMPLERS = ("random", "tpe", "cmaes", "gp", "other")
_WIDEST_ROPE = 0.1
"""Of accuracies: a wider one was meant in points."""


def compare(
    studies: Annotated[
        list[str],
        typer.Argument(help="a comparison's name, or two or more studies as DATABASE::STUDY"),
    ],
    database: Database = None,
    direction: Annotated[
        str | None, typer.Option(help="maximize or minimize \\[as each study says]")
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="score that counts as good, fixed beforehand")
    ] = None,
    k: Annotated[int | None, typer.Option("--k", help="budget of the verdict, in trials")] = None,
    rope: Annotated[
        float | None,
        typer.Option(
            help="difference that does not matter, in units of the score: 0.003 is 0.3 points"
        ),
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="what drew the studies' trials, such as random or tpe")
    ] = None,
    workload: Annotated[str | None, typer.Option(help="the workload in words")] = None,
    unit: Annotated[
        str | None, typer.Option(help="accuracy for shares in \\[0, 1], else the score's name")
    ] = None,
    json: JsonFile = None,
    html: HtmlFile = None,
    picture: PictureFile = None,
    folder: Folder = None,
) -> None:
    """Say which search space needed less tuning, and how sure that is.

    The first study is the old space, the second the new one. Studies made by other software
    count as random search only if --sampler random says so: the unbiased tuning curve needs it.

    For example:

    tuner compare digits --html report.html

    tuner compare digits --folder results/digits

    tuner compare sqlite:///a.db::old sqlite:///b.db::new --sampler random --target 0.95
    """
    outputs = Outputs(json, html, picture, folder)
    outputs.check()
    if len(studies) == 1 and "::" not in studies[0]:
        given = {
            "--direction": direction,
            "--target": target,
            "--k": k,
            "--rope": rope,
            "--sampler": sampler,
            "--workload": workload,
            "--unit": unit,
        }
        extra = [option for option, value in given.items() if value is not None]
        if extra:
            raise InvalidInput(
                f"{', '.join(extra)}: comparison {studies[0]!r} declares this itself; leave it out"
            )
        outputs.write(declared(studies[0], database or database_url(), in_full=outputs.in_full))
        return
    if unit == ACCURACY and rope is not None and rope >= _WIDEST_ROPE:
        raise InvalidInput(
            f"--rope: accuracies are shares, so {rope:g} is ±{100 * rope:g} points; for "
            f"±{rope:g} points give {rope / 100:g}"
        )
    protocol = Protocol(
        target=target,
        k=k,
        workload=workload or "the workload of these studies",
        unit=unit or "score",
        rope=0.0 if rope is None else rope,
    )
    outputs.write(
        foreign(studies, protocol, _direction(direction), sampler, in_full=outputs.in_full)
    )


def declared(name: str, database: str, *, in_full: bool) -> Comparison:
    """A comparison of the database, as far as it was run; ``in_full`` with importances."""
    store = open_store(database, must_exist=True)
    try:
        read = arms_in_full if in_full else read_arms
        return judged(*read(store, name))
    finally:
        store.close()


def foreign(
    studies: list[str],
    protocol: Protocol,
    direction: Direction | None,
    sampler: str | None,
    *,
    in_full: bool,
) -> Comparison:
    """Any Optuna studies as arms; an arm is called by the study, with its database if need be.

    Args:
        studies: Addresses, the old space first and the new one second.
        protocol: What was fixed beforehand; its target in the studies' own units.
        direction: In place of the studies' own.
        sampler: In place of what the studies say of themselves.
        in_full: With importances, which take seconds for each study.

    Raises:
        InvalidInput: If the studies say that they trained different workloads, or some of them
            are minimized and others maximized.
    """
    names = [address.rpartition("::")[2] for address in studies]
    found = [
        foreign_arm(address, name=name if names.count(name) == 1 else address, direction=direction)
        for address, name in zip(studies, names, strict=True)
    ]
    check_workloads(found)
    if len({each.minimized for each in found}) > 1:
        raise InvalidInput(
            "some of these studies minimize and others maximize; --direction says what holds"
        )
    if sampler is not None and sampler not in SAMPLERS:
        raise UnknownName("--sampler", sampler, SAMPLERS)
    if found[0].minimized:
        target = None if protocol.target is None else -protocol.target
        protocol = replace(protocol, target=target, unit=f"negated {protocol.unit}")
    arms = [each.arm if sampler is None else replace(each.arm, sampler=sampler) for each in found]
    worst = 0.0 if protocol.unit == ACCURACY else min(float(arm.scores.min()) for arm in arms)
    arms = [replace(arm, scores=np.where(arm.failed, worst, arm.scores)) for arm in arms]
    if in_full:
        arms = [
            replace(arm, importance=importances(each.trials, arm.scores))
            for each, arm in zip(found, arms, strict=True)
        ]
    if len(arms) > 1:
        protocol = replace(protocol, primary=(arms[1].name, arms[0].name))
    notes = [note for each in found for note in each.notes]
    notes += [
        f"{each.arm.name}: the study says {each.arm.sampler}; --sampler {sampler} overrides it"
        for each in found
        if sampler is not None and each.arm.sampler not in ("unknown", sampler)
    ]
    return judged(arms, protocol, notes=notes)


def _direction(given: str | None) -> Direction | None:
    match given:
        case None | "maximize" | "minimize":
            return given
    raise InvalidInput(f"--direction must be maximize or minimize, got {given!r}")
