"""Comparisons from one database to another, losing nothing: all of a file, or nothing of it.

Who works, what happened and the API keys stay behind. ``export_format`` is what travels.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel
from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.exc import IntegrityError

from tuner.errors import InvalidInput, UnknownName
from tuner.search.events import record
from tuner.search.export_format import (
    Attributes,
    ComparisonLine,
    Content,
    OptunaStudy,
    Place,
    StudyLine,
    TrialLine,
    read,
    written,
)
from tuner.search.spec import ComparisonSpec, StudySpec
from tuner.search.store import Store
from tuner.search.tables import CANCELLED, RUNNING, WAITING, comparisons, studies, trials

_KIND = {"kind"}
_ABOUT_A_TRIAL = re.compile(r"dashboard:(\d+):(.*)", re.DOTALL)
"""The dashboard's notes on a trial: attributes of its study, named after the trial's id."""


def export(store: Store, names: Iterable[str]) -> Iterator[str]:
    """The lines of a file with these comparisons, each as it was at one moment.

    Trials in training are exported as waiting.

    Args:
        store: The database.
        names: Comparisons.

    Raises:
        UnknownName: If the database does not hold one of them.
    """
    return written(line for name in dict.fromkeys(names) for line in _contents(store, name))


def load(
    store: Store, lines: Iterable[str], *, on_trial: Callable[[], None] = lambda: None
) -> tuple[list[str], list[str]]:
    """Take over the comparisons of a file: all of them, or none.

    Args:
        store: The database.
        lines: What ``export`` gave.
        on_trial: Called for each trial that was written.

    Returns:
        The comparisons taken over, and those that were there already and were left alone.

    Raises:
        InvalidInput: If the file is damaged, cut off or of another version, or if the database
            holds something else under one of its names.
    """
    contents = read(lines)
    found = [line for line in contents if isinstance(line, ComparisonLine)]
    try:
        with store.transaction() as connection:
            there = [line.name for line in found if _is_there(connection, line)]
            _write(store, connection, contents, there, on_trial)
    except IntegrityError as error:
        raise InvalidInput(
            "the database got a comparison of this file from someone else meanwhile; "
            "nothing was imported; import it again"
        ) from error
    return [line.name for line in found if line.name not in there], there


def _contents(store: Store, name: str) -> list[Content]:
    """A comparison, its studies and their trials, as they are at one moment."""
    with _snapshot(store) as connection:
        row = connection.execute(select(comparisons).where(comparisons.c.name == name)).first()
        if row is None:
            raise UnknownName("comparison", name, connection.scalars(select(comparisons.c.name)))
        its = select(studies).where(studies.c.comparison == name).order_by(studies.c.id)
        queued = connection.execute(select(trials).where(trials.c.comparison == name))
        places = {place.trial_id: place for place in queued}
        made = {study.study_name: study for study in store.rdb.get_all_studies()}
        contents: list[Content] = [ComparisonLine.model_validate(_columns(ComparisonLine, row))]
        for study in connection.execute(its).all():
            known = made.get(study.study_name)
            found = [] if known is None else store.rdb.get_all_trials(known._study_id)
            found.sort(key=lambda trial: trial.number)
            kept = None if known is None else _optuna(known, found)
            contents.append(
                StudyLine.model_validate({**_columns(StudyLine, study), "optuna": kept})
            )
            for trial in found:
                contents.append(_trial(study.study_name, trial, places.get(trial._trial_id)))
    return contents


@contextmanager
def _snapshot(store: Store) -> Iterator[Connection]:
    """A transaction whose queries all see the same moment; writers are not kept waiting."""
    begin = (
        "BEGIN"
        if store.engine.dialect.name == "sqlite"
        else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
    )
    with store.transaction() as connection:
        connection.exec_driver_sql(begin)
        yield connection


def _columns(kind: type[BaseModel], row: Row[Any]) -> dict[str, Any]:  # Any: a row's columns
    """What of a row goes into this kind of line."""
    return {name: value for name, value in row._asdict().items() if name in kind.model_fields}


def _optuna(study: FrozenStudy, found: Sequence[FrozenTrial]) -> OptunaStudy:
    numbers = {trial._trial_id: trial.number for trial in found}
    return OptunaStudy(
        user_attrs=study.user_attrs, system_attrs=_renamed(study.system_attrs, numbers)
    )


def _renamed(
    system_attrs: Attributes,
    ids: Mapping[int, int],
) -> Attributes:
    """The attributes, with other ids in the names of those about trials."""
    renamed = {}
    for name, value in system_attrs.items():
        about = _ABOUT_A_TRIAL.fullmatch(name)
        if about is None:
            renamed[name] = value
        elif int(about[1]) in ids:
            renamed[f"dashboard:{ids[int(about[1])]}:{about[2]}"] = value
    return renamed


def _trial(
    study_name: str,
    trial: FrozenTrial,
    row: Row[Any] | None,  # Any: a row's columns
) -> TrialLine:
    state, ended, user_attrs = trial.state, trial.datetime_complete, trial.user_attrs
    if not state.is_finished():
        state = TrialState.WAITING
        if row is not None and row.state == CANCELLED:  # as control.end_cancelled would note it
            state, ended, user_attrs = (
                TrialState.FAIL,
                datetime.now(),
                {**user_attrs, "cancelled": True},
            )
    return TrialLine.model_validate(
        {
            "study_name": study_name,
            "state": state.name,
            "values": trial.values,
            "started": trial.datetime_start,
            "ended": ended,
            "params": trial.params,
            "distributions": {
                name: distribution_to_json(each) for name, each in trial.distributions.items()
            },
            "user_attrs": user_attrs,
            "system_attrs": trial.system_attrs,
            "intermediate": trial.intermediate_values,
            "place": None if row is None else _place(row),
        }
    )


def _place(row: Row[Any]) -> Place:  # Any: a row's columns
    state = WAITING if row.state == RUNNING else row.state
    return Place.model_validate({**_columns(Place, row), "state": state})


def _is_there(connection: Connection, line: ComparisonLine) -> bool:
    query = select(comparisons.c.declaration_hash).where(comparisons.c.name == line.name)
    found = connection.scalar(query)
    if found not in (None, line.declaration_hash):
        raise InvalidInput(
            f"comparison {line.name!r}: the database holds another declaration under this name; "
            "nothing was imported; import into another database"
        )
    return found is not None


def _write(
    store: Store,
    connection: Connection,
    contents: Iterable[Content],
    without: Sequence[str],
    on_trial: Callable[[], None],
) -> None:
    """Write everything down but these comparisons."""
    taken = {study.study_name for study in store.rdb.get_all_studies()}
    made: dict[str, tuple[int, StudyLine]] = {}
    ids: dict[str, dict[int, int]] = defaultdict(dict)
    specs: dict[str, StudySpec] = {}
    for line in contents:
        match line:
            case ComparisonLine():
                specs = {}
                if line.name not in without:
                    spec = ComparisonSpec.model_validate_json(line.spec)
                    specs = {each.study_name: each for each in spec.every_study()}
                    connection.execute(insert(comparisons).values(line.model_dump(exclude=_KIND)))
                    record(connection, line.name, "submitted")
            case StudyLine() if line.study_name in specs:
                values = line.model_dump(exclude={*_KIND, "optuna"})
                connection.execute(insert(studies).values(values))
                if line.study_name in taken:
                    raise InvalidInput(
                        f"study {line.study_name!r}: Optuna has one of this name in the database "
                        "that belongs to no comparison; nothing was imported; delete or rename it"
                    )
                if line.optuna is not None:
                    study_id = _make(store, specs[line.study_name], line.optuna)
                    made[line.study_name] = (study_id, line)
            case TrialLine() if line.study_name in specs:
                study_id, study = made[line.study_name]
                trial_id = store.rdb.create_new_trial(study_id, _frozen(line))
                numbers = ids[line.study_name]
                numbers[len(numbers)] = trial_id
                if line.place is not None:
                    connection.execute(
                        insert(trials).values(
                            trial_id=trial_id,
                            comparison=study.comparison,
                            study_name=line.study_name,
                            **line.place.model_dump(),
                        )
                    )
                on_trial()
    for name, (study_id, study) in made.items():
        if study.optuna is not None:
            for key, value in _renamed(study.optuna.system_attrs, ids[name]).items():
                store.rdb.set_study_system_attr(study_id, key, value)


def _make(store: Store, spec: StudySpec, optuna: OptunaStudy) -> int:
    """Make the study in Optuna, with its attributes; returns its id."""
    store.make_study(spec)
    study_id = store.rdb.get_study_id_from_name(spec.study_name)
    store.rdb.scoped_session().flush()  # or what make_study wrote would be written twice
    for key, value in optuna.user_attrs.items():
        store.rdb.set_study_user_attr(study_id, key, value)
    return study_id


def _frozen(line: TrialLine) -> FrozenTrial:
    return FrozenTrial(
        number=-1,  # Optuna counts anew
        trial_id=-1,
        state=TrialState[line.state],
        value=None,
        values=line.values,
        datetime_start=line.started,
        datetime_complete=line.ended,
        params=line.params,
        distributions={
            name: json_to_distribution(text) for name, text in line.distributions.items()
        },
        user_attrs=line.user_attrs,
        system_attrs=line.system_attrs,
        intermediate_values=line.intermediate,
    )
