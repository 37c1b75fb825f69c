"""Comparisons from one database to another, as JSON Lines, losing nothing.

    {"kind": "header", "format": "bnn-tuner export", "version": 1, ...}
    {"kind": "comparison", ...}       its declaration and state
    {"kind": "study", ...}            a study of it, and its attributes in Optuna
    {"kind": "trial", ...}            a trial as Optuna has it, and its place in the queue, if any
    {"kind": "footer", "lines": n}    how many lines there are between header and footer

Who works, what happened and the API keys stay behind.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, cast

from optuna.distributions import distribution_to_json
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import insert, select

from tuner.errors import InvalidInput
from tuner.search.events import record
from tuner.search.export_format import (
    ComparisonLine,
    Ended,
    Footer,
    Header,
    Line,
    Place,
    Queued,
    StudyLine,
    TrialLine,
    frozen,
    ordered,
    read,
)
from tuner.search.store import Store
from tuner.search.tables import RUNNING, WAITING, comparisons, studies, trials


def export(store: Store, names: Iterable[str]) -> Iterator[str]:
    """The lines of a file with these comparisons; trials in training are exported as waiting.

    Args:
        store: The database.
        names: Comparisons.

    Raises:
        UnknownName: If the database does not hold one of them.
    """
    count = 0
    yield f"{Header().model_dump_json()}\n"
    for name in names:
        for line in _comparison(store, name):
            count += 1
            yield f"{line.model_dump_json()}\n"
    yield f"{Footer(lines=count).model_dump_json()}\n"


def load(
    store: Store, lines: Iterable[str], *, on_trials: Callable[[int], None] = lambda _: None
) -> tuple[list[str], list[str]]:
    """Take over the comparisons of a file: all of it, or nothing.

    Args:
        store: The database.
        lines: What ``export`` gave.
        on_trials: Called with how many trials were written just now.

    Returns:
        The comparisons taken over, and those that were there already and were left alone.

    Raises:
        InvalidInput: If the file is damaged, cut off or of another version, or if the database
            holds another comparison under one of its names.
    """
    found = read(lines)
    held = [line for line in found if isinstance(line, ComparisonLine)]
    skipped = sorted({line.name for line in held}.intersection(store.names()))
    for line in held:
        if line.name in skipped:
            _check_same(store, line)
    with store.transaction():
        _write(store, [line for line in found if line.comparison not in skipped], on_trials)
    return [line.name for line in held if line.name not in skipped], skipped


def _write(store: Store, lines: Iterable[Line], on_trials: Callable[[int], None]) -> None:
    """Write the lines, within a transaction."""
    connection = store.rdb.scoped_session().connection()
    ids: dict[str, int] = {}
    for line in lines:
        match line:
            case ComparisonLine():
                row = line.model_dump(exclude={"kind"})
                connection.execute(insert(comparisons).values(row))
                record(connection, line.name, "submitted")
            case StudyLine():
                row = line.model_dump(exclude={"kind", "attributes"})
                connection.execute(insert(studies).values(row))
                if line.attributes is not None:
                    ids[line.study_name] = _make(store, line)
            case TrialLine():
                trial_id = store.rdb.create_new_trial(ids[line.study_name], frozen(line))
                if line.place is not None:
                    its = {"study_name": line.study_name, "comparison": line.comparison}
                    place = {**line.place.model_dump(), **its, "trial_id": trial_id}
                    connection.execute(insert(trials).values(place))
                store.let_go()
                on_trials(1)


def _make(store: Store, line: StudyLine) -> int:
    with store.written_at_once():
        study_id = store.rdb.create_new_study([StudyDirection.MAXIMIZE], line.study_name)
    for key, value in (line.attributes or {}).items():
        store.rdb.set_study_user_attr(study_id, key, value)
    return study_id


def _comparison(store: Store, name: str) -> Iterator[Line]:
    store.comparison(name)  # or it is unknown
    with store.engine.connect() as connection:
        row = connection.execute(select(comparisons).where(comparisons.c.name == name)).one()
        its = connection.execute(
            select(studies).where(studies.c.comparison == name).order_by(studies.c.id)
        ).all()
        queued = connection.execute(select(trials).where(trials.c.comparison == name)).all()
    yield ComparisonLine(**row._asdict())
    places = {place.trial_id: place for place in queued}
    made = {study.study_name: study for study in store.rdb.get_all_studies()}
    for study in its:
        values = study._asdict()
        del values["id"]
        known = made.get(study.study_name)
        yield StudyLine(**values, attributes=None if known is None else known.user_attrs)
        if known is not None:
            for trial in store.rdb.get_all_trials(known._study_id, deepcopy=False):
                yield _trial(name, study.study_name, trial, places.get(trial._trial_id))


def _trial(
    comparison: str, study_name: str, trial: FrozenTrial, row: Any
) -> TrialLine:  # Any: a row of ``tables.trials``, or None
    state = TrialState.WAITING if trial.state == TrialState.RUNNING else trial.state
    place = None
    if row is not None:
        place = Place(
            position=row.position,
            state=cast(Queued, WAITING if row.state == RUNNING else row.state),
            attempts=row.attempts,
            failures=row.failures,
            value=row.value,
        )
    distributions = {name: distribution_to_json(d) for name, d in trial.distributions.items()}
    return TrialLine(
        comparison=comparison,
        study_name=study_name,
        state=cast(Ended, state.name),
        values=trial.values,
        started=None if state == TrialState.WAITING else _utc(trial.datetime_start),
        ended=_utc(trial.datetime_complete),
        params=ordered(trial.params),
        distributions=ordered(distributions),
        user_attrs=ordered(trial.user_attrs),
        system_attrs=ordered(trial.system_attrs),
        intermediate=ordered(trial.intermediate_values),
        place=place,
    )


def _utc(time: datetime | None) -> datetime | None:
    """Optuna gives times in the machine's own zone, without saying so."""
    return None if time is None else time.astimezone(UTC)


def _check_same(store: Store, line: ComparisonLine) -> None:
    with store.engine.connect() as connection:
        query = select(comparisons.c.declaration_hash).where(comparisons.c.name == line.name)
        if connection.scalar(query) != line.declaration_hash:
            raise InvalidInput(
                f"comparison {line.name!r}: the database holds another declaration under this "
                "name; nothing was imported"
            )
