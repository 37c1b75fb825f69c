"""Reports of comparisons, computed once for as long as they hold."""

import csv
import io
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tuner import __version__
from tuner.compare import compare
from tuner.compare.figures import svg
from tuner.compare.html import to_html
from tuner.compare.report import to_json
from tuner.errors import Conflict, InvalidInput
from tuner.search import results, views
from tuner.search.store import Store
from tuner.search.studies import finished_trials
from tuner.search.tables import trials

_KEPT = 16


@dataclass(frozen=True)
class Report:
    """What came out of a comparison, in three forms."""

    json: dict[str, Any]  # Any: any JSON value
    html: str
    svg: str
    verdict: str


_made: OrderedDict[tuple[str, str, int, int], Report] = OrderedDict()
_making = threading.Lock()


def of(store: Store, row: views.ComparisonRow) -> Report:
    """The comparison's report, as far as it was run.

    Raises:
        Conflict: If an arm has no finished trial yet, or there is one arm only.
    """
    finished = views.finished_count(store, trials.c.comparison == row.name)
    key = (str(store.engine.url), row.name, row.revision, finished)
    with _making:  # it takes a second of the processor, and readers come in crowds
        if key not in _made:
            _made[key] = _make(store, row.name)
            if len(_made) > _KEPT:
                _made.popitem(last=False)
        _made.move_to_end(key)
        return _made[key]


def _make(store: Store, name: str) -> Report:
    if len(store.comparison(name).arms) < 2:
        raise Conflict(
            f"comparison {name!r} has one arm, so there is nothing to compare; ask its study for "
            "its best trials and its tuning curve"
        )
    try:
        comparison = compare(*results.arms(store, name))
    except InvalidInput as error:
        raise Conflict(f"comparison {name!r}: {error}") from error
    where = {"Made by": f"bnn-tuner {__version__}, tuner compare {name}"}
    return Report(
        json=to_json(comparison),
        html=to_html(comparison, where),
        svg=svg(comparison),
        verdict=comparison.verdict.text,
    )


def csv_of(store: Store, name: str) -> Iterator[str]:
    """All finished trials of a comparison, a line each, as CSV."""
    names = ("study", "index", "state", "val_accuracy", "test_accuracy", "diverged", "seconds")
    yield _line((*names, "seed", "params", "settings"))
    for study in store.comparison(name).every_study():
        for trial in finished_trials(store, study.study_name):
            attributes = trial.user_attrs
            run = attributes.get("run", {})
            yield _line(
                (
                    study.study_name,
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
            )


def _line(values: tuple[object, ...]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return text.getvalue()
