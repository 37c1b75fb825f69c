"""Comparisons from one database to another, losing nothing: all of a file, or nothing of it.

Who works, what happened and the API keys stay behind. ``export_format`` is what travels.
"""

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel
from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.exc import IntegrityError

from tuner.errors import InvalidInput, UnknownName
from tuner.search.database.events import record
from tuner.search.database.export_format import (
    Attributes,
    ComparisonLine,
    Content,
    OptunaStudy,
    Place,
    StudyLine,
    TrialLine,
    written,
)
from tuner.search.database.imported.reading import Exported, ExportedStudy, read_export
from tuner.search.database.marks import MARK
from tuner.search.database.storage.hanging import second_names
from tuner.search.database.storage.many import create_trials
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    CANCELLED,
    DELETING,
    FAILED,
    RUNNING,
    TO_RETRY,
    WAITING,
    comparisons,
    studies,
    trials,
)

_CHUNK = 50
"""So many trials are written at once."""

Own = Callable[[Attributes], Attributes]
"""Has the files that attributes are about be files of their own."""

_ABOUT_A_TRIAL = re.compile(r"dashboard:((?:artifacts:)?)(\d+):(.*)", re.DOTALL)
"""Notes and files on a trial: attributes of its study, named after the trial's id."""


def export(
    store: Store,
    names: Iterable[str] | None = None,
    *,
    on_comparison: Callable[[str], None] = lambda _: None,
) -> Generator[str, None, None]:
    """The lines of a file with these comparisons, all as they were at one moment.

    Workers need not stop: they are not kept waiting, and what they write meanwhile is not in it.
    Trials in training are exported as waiting.

    Args:
        store: The database.
        names: Comparisons; all that there are at that moment if not given.
        on_comparison: Hears the name of each comparison once it has been read.

    Raises:
        UnknownName: If the database does not hold one of them.
        InvalidInput: If one of them is being deleted.
    """
    return written(_all_contents(store, names, on_comparison))


def _all_contents(
    store: Store, names: Iterable[str] | None, on_comparison: Callable[[str], None]
) -> Iterator[Content]:
    with _snapshot(store) as connection:
        there = list(
            connection.scalars(
                select(comparisons.c.name)
                .where(comparisons.c.status != DELETING)
                .order_by(comparisons.c.created)
            )
        )
        wanted = there if names is None else list(dict.fromkeys(names))
        for name in wanted:
            if name not in there:
                _refuse_deleted(connection, name)
                raise UnknownName("comparison", name, there)
        for name in wanted:
            yield from _contents(store, connection, name)
            on_comparison(name)


def _refuse_deleted(connection: Connection, name: str) -> None:
    """Say of a comparison that is there, but is being deleted, that it is."""
    this = select(comparisons.c.name).where(comparisons.c.name == name)
    if connection.scalar(this) is not None:
        raise InvalidInput(f"comparison {name!r} is being deleted, so it cannot be exported")


def load(
    store: Store, lines: Iterable[str], *, on_trials: Callable[[int], None] = lambda _: None
) -> tuple[list[str], list[str]]:
    """Take over the comparisons of a file: all of them, or none.

    Args:
        store: The database.
        lines: What ``export`` gave.
        on_trials: Called with how many more trials were written.

    Returns:
        The comparisons taken over, and those that were there already and were left alone.

    Raises:
        InvalidInput: If the file is damaged, cut off or of another version, or if the database
            holds something else under one of its names.
    """
    exported = read_export(lines)
    taken, there = [], []
    try:
        with second_names() as own, store.transaction() as connection:
            for content in exported:
                if _is_there(connection, content.comparison):
                    there.append(content.comparison.name)
                else:
                    _write(store, connection, content, own, on_trials)
                    taken.append(content.comparison.name)
    except IntegrityError as error:
        raise InvalidInput(
            "the database got a comparison of this file from elsewhere meanwhile; "
            "nothing was imported; import it again"
        ) from error
    return taken, there


def _contents(store: Store, connection: Connection, name: str) -> Iterator[Content]:
    """A comparison, its studies and their trials, a study at a time."""
    row = connection.execute(select(comparisons).where(comparisons.c.name == name)).one()
    yield ComparisonLine.model_validate(_columns(ComparisonLine, row))
    made = {study.study_name: study for study in store.rdb.get_all_studies()}
    its = select(studies).where(studies.c.comparison == name).order_by(studies.c.id)
    for study in connection.execute(its).all():
        queued = connection.execute(select(trials).where(trials.c.study_name == study.study_name))
        places = {place.trial_id: place for place in queued}
        known = made.get(study.study_name)
        frozen = [] if known is None else _trials(store, known)
        kept = None if known is None else _optuna(known, frozen)
        yield StudyLine.model_validate({**_columns(StudyLine, study), "optuna": kept})
        for trial in frozen:
            yield _trial(study.study_name, trial, places.get(trial._trial_id))
        store.let_go()


@contextmanager
def _snapshot(store: Store) -> Iterator[Connection]:
    """A transaction whose queries all see the same moment; writers are not kept waiting.

    It may wait for whoever takes the lines, for as long as that takes.
    """
    begin = (
        ("BEGIN",)
        if store.engine.dialect.name == "sqlite"
        else (
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            "SET LOCAL idle_in_transaction_session_timeout = 0",
        )
    )
    with store.transaction() as connection:
        for statement in begin:
            connection.exec_driver_sql(statement)
        yield connection


def _columns(kind: type[BaseModel], row: Row[Any]) -> dict[str, Any]:  # Any: a row's columns
    """What of a row goes into this kind of line."""
    return {name: value for name, value in row._asdict().items() if name in kind.model_fields}


def _trials(store: Store, study: FrozenStudy) -> list[FrozenTrial]:
    frozen = store.rdb.get_all_trials(study._study_id, deepcopy=False)
    return sorted(frozen, key=lambda trial: trial.number)


def _optuna(study: FrozenStudy, frozen: Sequence[FrozenTrial]) -> OptunaStudy:
    numbers = {trial._trial_id: trial.number for trial in frozen}
    return OptunaStudy(
        user_attrs=_sorted(study.user_attrs),
        system_attrs=_sorted(_renamed(study.system_attrs, numbers)),
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
        elif int(about[2]) in ids:
            renamed[f"dashboard:{about[1]}{ids[int(about[2])]}:{about[3]}"] = value
    return renamed


def _trial(
    study_name: str,
    trial: FrozenTrial,
    row: Row[Any] | None,  # Any: a row's columns
) -> TrialLine:
    state, user_attrs, ended = trial.state, trial.user_attrs, trial.datetime_complete
    if not state.is_finished():
        state = TrialState.WAITING
        if row is not None and row.state == CANCELLED:  # as control.end_cancelled would note it
            state, ended = TrialState.FAIL, datetime.now()
            user_attrs = {**user_attrs, "cancelled": True}
    return TrialLine.model_validate(
        {
            "study_name": study_name,
            "state": state.name,
            "values": trial.values,
            "started": _utc(trial.datetime_start),
            "ended": _utc(ended),
            "params": _sorted(trial.params),
            "distributions": {
                name: distribution_to_json(each)
                for name, each in _sorted(trial.distributions).items()
            },
            "user_attrs": _sorted(user_attrs),
            "system_attrs": _sorted(trial.system_attrs),
            "intermediate": _sorted(trial.intermediate_values),
            "place": None if row is None else _place(row),
        }
    )


def _utc(time: datetime | None) -> datetime | None:
    """Optuna gives times in the machine's own zone, without saying so."""
    return None if time is None else time.astimezone(UTC)


def _local(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone().replace(tzinfo=None)


def _sorted(mapping: Mapping[Any, Any]) -> dict[Any, Any]:  # Any: an attribute's or a step's
    """By name: databases give them in any order, and the file is to be the same."""
    return dict(sorted(mapping.items()))


def _place(row: Row[Any]) -> Place:  # Any: a row's columns
    state = WAITING if row.state == RUNNING else row.state
    if row.worker == TO_RETRY:
        state = FAILED  # to be asked for again where it arrives
    return Place.model_validate({**_columns(Place, row), "state": state})


def _is_there(connection: Connection, line: ComparisonLine) -> bool:
    query = select(comparisons.c.declaration_hash).where(comparisons.c.name == line.name)
    stored_hash = connection.scalar(query)
    if stored_hash not in (None, line.declaration_hash):
        raise InvalidInput(
            f"comparison {line.name!r}: the database holds another declaration under this name; "
            "nothing was imported; import into another database"
        )
    return stored_hash is not None


def _write(
    store: Store,
    connection: Connection,
    exported: Exported,
    own: Own,
    on_trials: Callable[[int], None],
) -> None:
    comparison = exported.comparison
    connection.execute(insert(comparisons).values(comparison.model_dump(exclude={"kind"})))
    record(connection, comparison.name, "submitted")
    strangers = {study.study_name for study in store.rdb.get_all_studies()}
    for study in exported.studies:
        row = study.line.model_dump(exclude={"kind", "optuna"})
        connection.execute(insert(studies).values(row))
        if study.line.study_name in strangers:
            raise InvalidInput(
                f"study {study.line.study_name!r}: Optuna has one of this name in the database "
                "that belongs to no comparison; nothing was imported; delete it"
            )
        if study.line.optuna is not None:
            _write_study(store, connection, study, study.line.optuna, own, on_trials)


def _write_study(
    store: Store,
    connection: Connection,
    study: ExportedStudy,
    optuna: OptunaStudy,
    own: Own,
    on_trials: Callable[[int], None],
) -> None:
    store.make_study(study.spec)
    study_id = store.rdb.get_study_id_from_name(study.spec.study_name)
    session = store.rdb.scoped_session()
    session.flush()  # or the attribute that make_study wrote would be written twice
    ids: list[int] = []
    while chunk := study.trials[len(ids) : len(ids) + _CHUNK]:
        frozen = [_frozen(line, number, own) for number, line in enumerate(chunk, start=len(ids))]
        made = create_trials(store.rdb, study_id, frozen)
        store.let_go()
        rows = [
            {
                "trial_id": trial_id,
                "comparison": study.line.comparison,
                "study_name": study.line.study_name,
                **line.place.model_dump(),
            }
            for trial_id, line in zip(made, chunk, strict=True)
            if line.place is not None
        ]
        if rows:
            connection.execute(insert(trials), rows)
        ids += made
        on_trials(len(made))
    for key, value in optuna.user_attrs.items():
        if key in (MARK, "spec"):  # make_study wrote them, from the declaration
            continue
        store.rdb.set_study_user_attr(study_id, key, value)
    for key, value in _renamed(own(optuna.system_attrs), dict(enumerate(ids))).items():
        store.rdb.set_study_system_attr(study_id, key, value)


def _frozen(line: TrialLine, number: int, own: Own) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        trial_id=-1,  # the database gives it one
        state=TrialState[line.state],
        value=None,
        values=line.values,
        datetime_start=_local(line.started),
        datetime_complete=_local(line.ended),
        params=line.params,
        distributions={
            name: json_to_distribution(text) for name, text in line.distributions.items()
        },
        user_attrs=line.user_attrs,
        system_attrs=own(line.system_attrs),
        intermediate_values=line.intermediate,
    )
