"""Reports of comparisons, computed once for as long as they hold."""

import csv
import io
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from optuna.trial import FrozenTrial

from tuner import __version__
from tuner.compare import compare
from tuner.compare.arm import Arm
from tuner.compare.comparison import Comparison, detailed
from tuner.compare.figures.gallery import main_picture
from tuner.compare.protocol import Protocol
from tuner.compare.report.data import to_json
from tuner.compare.report.html import to_html
from tuner.compare.summary import ArmSummary
from tuner.errors import Conflict, InvalidInput
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store
from tuner.search.database.tables import trials
from tuner.search.declared.study_spec import StudySpec
from tuner.search.results.arms import arms as read_arms
from tuner.search.results.arms import arms_in_full, study_summary
from tuner.search.watch import views

_KEPT = 64
_XML = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


@dataclass(frozen=True)
class Compared:
    """A comparison, for its page, and its figure: without what lies behind."""

    comparison: Comparison
    svg: str

    @property
    def picture(self) -> str:
        """The figure as a file that stands alone."""
        return self.svg.replace("<svg", f"<svg {_XML}", 1)


@dataclass(frozen=True)
class Report:
    """What came out of a comparison with all that lies behind: it takes seconds for each arm."""

    json: dict[str, Any]  # Any: any JSON value
    html: str


Made = TypeVar("Made")
Read = Callable[[Store, str], tuple[list[Arm], Protocol]]
_made: OrderedDict[tuple[object, ...], Future[Any]] = OrderedDict()  # Any: what a key stands for
_asking = threading.Lock()


def of(store: Store, row: views.ComparisonRow) -> Compared:
    """What came out of the comparison, as far as it was run.

    Raises:
        Conflict: If an arm has no finished trial yet, or there is one arm only.
    """
    return _once(("compared", *_state(store, row)), lambda: _compared(store, row.name))


def at_look(store: Store, row: views.ComparisonRow, ended: tuple[int, ...]) -> Comparison:
    """What came out at the last look, computed once for as long as no fresh run ends.

    Args:
        store: The database.
        row: The comparison.
        ended: Of the new arm and of the old one, how many of the settings that their searches
            selected were trained afresh.

    Raises:
        Conflict: If an arm has no finished trial yet.
    """
    key = ("look", store.engine.url, row.name, row.created, row.revision, ended)
    return _once(key, lambda: _compare(store, row.name, read_arms)[0])


def in_full(store: Store, row: views.ComparisonRow) -> Report:
    """The comparison's report, as far as it was run.

    Raises:
        Conflict: If an arm has no finished trial yet, or there is one arm only.
    """
    return _once(("report", *_state(store, row)), lambda: _report(store, row.name))


def _state(store: Store, row: views.ComparisonRow) -> tuple[object, ...]:
    """As long as this stays the same, so does what came out."""
    finished = views.finished_count(store, trials.c.comparison == row.name)
    return store.engine.url, row.name, row.created, row.revision, finished


def curve_of(store: Store, row: views.StudyRow, spec: StudySpec) -> tuple[ArmSummary, float]:
    """A study's tuning curve, as far as it was run, and the confidence of its band.

    Raises:
        Conflict: If it has none: its trials are not independent, or none has a value.
    """
    dependent = Conflict(
        f"study {row.study_name!r} has no tuning curve: its trials are not independent; ask for "
        "its best trials"
    )
    if spec.learns or spec.trains_afresh:
        raise dependent
    if not row.done + row.failed:
        raise Conflict(f"study {row.study_name!r} has no finished trial yet; ask again later")
    key = (store.engine.url, row.id, row.done, row.failed)
    summary, confidence = _once(key, lambda: _summary(store, spec))
    if not summary.curve:  # some were pruned
        raise dependent
    return summary, confidence


def _once(key: tuple[object, ...], make: Callable[[], Made]) -> Made:
    """What the key stands for, made unless it was: readers come in crowds, and wait for the first.

    What is not made for an error is tried again.
    """
    with _asking:
        mine = key not in _made
        if mine:
            _made[key] = Future()
            while len(_made) > _KEPT:
                _made.popitem(last=False)
        _made.move_to_end(key)
        promise: Future[Made] = _made[key]
    if mine:
        try:
            promise.set_result(make())
        except BaseException as error:
            with _asking:
                _made.pop(key, None)
            promise.set_exception(error)
    return promise.result()


def _summary(store: Store, spec: StudySpec) -> tuple[ArmSummary, float]:
    try:
        return study_summary(store, spec)
    except InvalidInput as error:
        raise Conflict(f"study {spec.study_name!r}: {error}") from error


def _compare(store: Store, name: str, read: Read) -> tuple[Comparison, list[Arm]]:
    if len(store.comparison(name).arms) < 2:
        raise Conflict(
            f"comparison {name!r} has one arm, so there is nothing to compare; ask its study for "
            "its best trials and its tuning curve"
        )
    try:
        arms, protocol = read(store, name)
        return compare(arms, protocol), arms
    except InvalidInput as error:
        raise Conflict(f"comparison {name!r}: {error}") from error


def _compared(store: Store, name: str) -> Compared:
    comparison, _ = _compare(store, name, read_arms)
    return Compared(comparison, svg=main_picture(comparison).svg)


def _report(store: Store, name: str) -> Report:
    comparison = detailed(*_compare(store, name, arms_in_full))
    where = {"Made by": f"bnn-tuner {__version__}, tuner compare {name}"}
    return Report(json=to_json(comparison), html=to_html(comparison, where))


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
