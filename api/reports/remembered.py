"""What came out of comparisons: made once for as long as it holds, and promised meanwhile.

Verdicts and whole reports have a process each, so that nobody waits for a verdict because another
asked for a report.
"""

import csv
import io
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from optuna.trial import FrozenTrial

from tuner.api.reports import making
from tuner.api.reports.maker import Maker, MakerDied
from tuner.api.schemas import Question
from tuner.api.storages import address_in
from tuner.compare.comparison import Comparison
from tuner.compare.protocol import Protocol
from tuner.compare.summary import ArmSummary
from tuner.errors import Conflict, InvalidInput
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store
from tuner.search.database.tables import trials
from tuner.search.declared.study_spec import StudySpec
from tuner.search.declared.suite_spec import SuiteSpec
from tuner.search.foreign.compare import check_question
from tuner.search.watch import views

_KEPT = 64
_MOMENT_SECONDS = 0.2
_TRIED_AGAIN_SECONDS = 60.0
"""So long a process that died over something is not sent to make it again."""

Made = TypeVar("Made")
_made: OrderedDict[tuple[object, ...], Future[Any]] = OrderedDict()  # Any: what a key stands for
_asking = threading.Lock()
_verdicts, _reports = Maker("verdicts"), Maker("reports")


def soon(promise: Future[Made]) -> Made | None:
    """What is promised, if it is there or comes in a moment.

    Raises:
        TunerError: If the promise is broken.
    """
    try:
        return promise.result(timeout=_MOMENT_SECONDS)
    except TimeoutError:
        return None


def of(store: Store, row: views.ComparisonRow) -> Future[making.Compared]:
    """What came out of the comparison, as far as it was run; see ``making.compared``."""
    key = ("compared", *_state(store, row))
    return _once(key, _verdicts, making.compared, _address(store), row.name)


def at_look(store: Store, row: views.ComparisonRow, ended: tuple[int, ...]) -> Future[Comparison]:
    """What came out at the last look, for as long as no fresh run ends.

    Args:
        store: The database.
        row: The comparison.
        ended: Of the new arm and of the old one, how many of the settings that their searches
            selected were trained afresh.
    """
    key = ("look", _address(store), row.name, row.created, row.revision, ended)
    return _once(key, _verdicts, making.looked_at, _address(store), row.name)


def in_full(store: Store, row: views.ComparisonRow) -> Future[making.Report]:
    """The comparison's report, as far as it was run; see ``making.report``."""
    key = ("report", *_state(store, row))
    return _once(key, _reports, making.report, _address(store), row.name)


def of_suite(store: Store, spec: SuiteSpec) -> Future[making.Report]:
    """A suite's report, as far as its comparisons were run; see ``making.suite_report``."""
    known = set(store.names())
    rows = [
        views.get_comparison(store, each.name) for each in spec.comparisons if each.name in known
    ]
    key = ("suite", spec.declaration_hash, *(_state(store, row) for row in rows))
    return _once(key, _reports, making.suite_report, _address(store), spec)


def search_of(
    store: Store, row: views.ComparisonRow, study_name: str, trials_ended: int
) -> Future[tuple[ArmSummary, Protocol]]:
    """One search by itself, for as long as so many of its trials have ended."""
    key = ("search", _address(store), study_name, row.created, trials_ended)
    return _once(key, _verdicts, making.searched, _address(store), row.name, study_name)


def curve_of(
    store: Store, row: views.StudyRow, spec: StudySpec
) -> Future[tuple[ArmSummary, Protocol]]:
    """A study's tuning curve, as far as it was run, and its rules.

    Raises:
        Conflict: If it has none: its trials are not independent, or none has a value.
    """
    if spec.learns or spec.trains_afresh:
        raise dependent(row.study_name)
    if not row.done + row.failed:
        raise Conflict(f"study {row.study_name!r} has no finished trial yet; ask again later")
    of_it = views.get_comparison(store, row.comparison)
    return search_of(store, of_it, row.study_name, row.done + row.failed)


def of_question(store: Store, storages: Mapping[str, str], question: Question) -> Future[str]:
    """What came out of the studies or scores that somebody asks about.

    Args:
        store: The database.
        storages: Name -> address or path of those that may be read beside it.
        question: What is asked.

    Raises:
        InvalidInput: If neither or both are given, a storage is not known, or what is asked would
            be refused whatever they are.
        NotFound: If a file of a storage is not there.
    """
    if (question.studies is None) == (question.scores is None):
        raise InvalidInput("body: give either studies or scores")
    check_question(question.protocol, question.reading)
    if question.studies is None:
        if question.objective is not None or question.last_reports:
            raise InvalidInput("objective: is of studies, as last_reports is; scores have none")
        return _reports.make(making.scores_compared, question)
    studies = [
        each
        if isinstance(each, str)
        else address_in(storages, each.storage, each.path, each.study)
        for each in question.studies
    ]
    return _reports.make(making.studies_compared, _address(store), studies, question)


def dependent(study_name: str) -> Conflict:
    """Why a study has no tuning curve; so it is too if some of its trials were pruned."""
    return Conflict(
        f"study {study_name!r} has no tuning curve: its trials are not independent; ask for "
        "its best trials"
    )


def _state(store: Store, row: views.ComparisonRow) -> tuple[object, ...]:
    """As long as this stays the same, so does what came out."""
    finished = views.finished_count(store, trials.c.comparison == row.name)
    return _address(store), row.name, row.created, row.revision, finished


def _address(store: Store) -> str:
    return store.engine.url.render_as_string(hide_password=False)


def _once(
    key: tuple[object, ...], maker: Maker, make: Callable[..., Made], *arguments: object
) -> Future[Made]:
    """What the key stands for, made unless it was: readers come in crowds.

    What is not made for an error is tried again.
    """
    with _asking:
        if key in _made:
            _made.move_to_end(key)
            return _made[key]
        promise = _made[key] = maker.make(make, *arguments)
        while len(_made) > _KEPT:
            _made.popitem(last=False)
    promise.add_done_callback(lambda kept: _forget_broken(key, kept))
    return promise


def _forget_broken(key: tuple[object, ...], promise: Future[Any]) -> None:
    def forget() -> None:
        with _asking:
            if _made.get(key) is promise:
                del _made[key]

    error = promise.exception()
    if isinstance(error, MakerDied):
        later = threading.Timer(_TRIED_AGAIN_SECONDS, forget)
        later.daemon = True
        later.start()
    elif error is not None:
        forget()


def csv_of(store: Store, name: str) -> Iterator[str]:
    """All finished trials of a comparison as CSV, a line each, a study at a time."""
    names = ("study", "index", "state", "val_accuracy", "test_accuracy", "diverged", "seconds")
    yield _lines([(*names, "seed", "params", "settings")])
    for study in store.comparison(name).every_study():
        trials = finished_trials(store, study.study_name)
        yield _lines([_cells(study.study_name, trial) for trial in trials])


def _cells(study_name: str, trial: FrozenTrial) -> tuple[object, ...]:
    attributes = trial.user_attrs
    run = attributes.get("run", {})
    return (
        study_name,
        attributes.get("index"),
        trial.state.name,
        trial.value,
        attributes.get("test_accuracy"),
        attributes.get("diverged", False),
        run.get("seconds"),
        attributes.get("seed"),
        json.dumps(trial.params),
        json.dumps(run.get("settings")),
    )


def _lines(rows: Iterable[tuple[object, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
