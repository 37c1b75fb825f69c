"""``tuner compare``: what finished trials say, ours or anyone's Optuna studies."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tuner.cli.present import Database, Folder, HtmlFile, JsonFile, Outputs, PictureFile
from tuner.config import database_url
from tuner.errors import DatabaseProblem, InvalidInput, UnknownName
from tuner.search.foreign.address import names_storage
from tuner.wording import by_options


def compare(
    studies: Annotated[
        list[str],
        typer.Argument(
            help="a comparison's name, or two or more studies as STORAGE::STUDY; a storage alone "
            "lists its studies"
        ),
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
    objective: Annotated[
        str | None,
        typer.Option(help="the one to compare, by name or number from 0, of several objectives"),
    ] = None,
    last_reports: Annotated[
        bool,
        typer.Option(
            "--last-reports",
            help="take a pruned trial's last report for its result \\[it has none]",
        ),
    ] = False,
    names: Annotated[
        tuple[str, str] | None, typer.Option(help="what to call the first two: NEW OLD")
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

    The first study is the new space, the second the old one. Studies made by other software
    count as random search only if --sampler random says so: the unbiased tuning curve needs it.

    A storage is a file (SQLite or journal of Optuna's, a pickled study, CSV or JSON lines of its
    trials or of W&B's or MLflow's runs), a folder (mlruns, Ray Tune's results) or an address
    (sqlite:///..., postgresql://..., mysql://..., journal:///..., grpc://HOST:PORT). It is only
    ever read.

    For example:

    tuner compare digits --html report.html

    tuner compare digits --folder results/digits

    tuner compare sqlite:///a.db::new sqlite:///b.db::old --sampler random --target 0.95

    tuner compare optuna.db

    tuner compare new.csv old.csv --direction maximize --names filter magnitude
    """
    outputs = Outputs(json, html, picture, folder)
    outputs.check()
    if len(studies) == 1 and (names_storage(studies[0]) or _holds_studies(Path(studies[0]))):
        from tuner.cli.listing import print_studies

        print_studies(studies[0], outputs.console)
        return
    from tuner.cli.comparing import declared, foreign, write  # takes two seconds to import
    from tuner.compare.protocol import SCORE, UNNAMED, Protocol
    from tuner.search.foreign.arm import Reading

    if len(studies) == 1 and "::" not in studies[0]:
        given = {
            "--direction": direction,
            "--target": target,
            "--k": k,
            "--rope": rope,
            "--sampler": sampler,
            "--objective": objective,
            "--last-reports": last_reports or None,
            "--names": names,
            "--workload": workload,
            "--unit": unit,
        }
        extra = [option for option, value in given.items() if value is not None]
        if extra:
            raise InvalidInput(
                f"{', '.join(extra)}: comparison {studies[0]!r} declares this itself; leave it out"
            )
        try:
            comparison = declared(studies[0], database or database_url(), outputs)
        except (UnknownName, DatabaseProblem) as error:
            if not Path(studies[0]).is_dir():
                raise
            raise InvalidInput(
                f"{error}; if the folder of that name is meant, write ./{studies[0]}"
            ) from error
        write(comparison, outputs)
        return
    with by_options():
        protocol = Protocol(
            target=target,
            k=k,
            workload=workload or UNNAMED,
            unit=unit or SCORE,
            rope=0.0 if rope is None else rope,
        )
        reading = Reading(_direction(direction), sampler, objective, last_reports)
        comparison = foreign(studies, protocol, reading, names or (), outputs)
    write(comparison, outputs)


def _holds_studies(folder: Path) -> bool:
    """Whether a name without a slash is a folder such as ``mlruns``; no comparison writes one."""
    if not folder.is_dir():
        return False
    from tuner.search.foreign.storages.kinds import is_a_study

    return is_a_study(folder)


def _direction(given: str | None) -> Literal["maximize", "minimize"] | None:
    match given:
        case None | "maximize" | "minimize":
            return given
    raise InvalidInput(f"--direction must be maximize or minimize, got {given!r}")
