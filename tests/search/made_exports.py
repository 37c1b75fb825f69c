"""A comparison with trials in all states, and the file it travels in."""

import math

import optuna
from comparisons import comparison, enqueue
from optuna.trial import TrialState
from optuna_dashboard._note import save_note_with_version

from tuner.search.database.store import Store
from tuner.search.database.transfer import export
from tuner.search.queue import control
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.queue import Queue

SPEC = comparison(n_trials=8)


def make_eventful(store: Store) -> None:
    """A comparison with trials in all states, and a cancelled one."""
    enqueue(store, SPEC)
    enqueue(store, comparison(name="other", n_trials=2))
    control.change_comparison(store, "other", "cancel")
    queue = Queue(store, retries=0)
    queue.batch("small/old", 2)
    queue.fail("a", queue.claim("small/old", "a", range(2)).trial_ids, "Traceback: ärger \udcff")
    control.retry_failed(store, "small")
    for state, first in ((TrialState.COMPLETE, 2), (TrialState.PRUNED, 4)):
        ids = queue.claim("small/old", "a", range(first, first + 2)).trial_ids
        store.optuna.get_all_trials(store.rdb.get_study_id_from_name("small/old"))
        attributes = {"run": {"half_life": math.inf, "curve": {"epoch": [1, 3]}}}
        outcome = TrialOutcome(state, 1 / 3, attributes, {1: 0.25, 3: math.nan})
        queue.finish("a", dict.fromkeys(ids, outcome))
    queue.report("a", 1, dict.fromkeys(queue.claim("small/old", "a", range(6, 8)).trial_ids, 0.5))
    queue.fail("a", queue.claim("small/new", "a", range(1)).trial_ids, "Traceback: again")
    control.change_study(store, _row_id(store, "small/new"), "pause")
    study = optuna.load_study(study_name="small/old", storage=store.rdb)
    study.set_user_attr("asked by", "Ada")
    for trial_id, body in ((None, "on the study"), (study.trials[3]._trial_id, "long " * 1000)):
        save_note_with_version(store.rdb, study._study_id, trial_id, 1, body)


def _row_id(store: Store, study_name: str) -> int:
    with store.engine.connect() as connection:
        query = "select id from tuner_studies where study_name = '{}'"
        return connection.exec_driver_sql(query.format(study_name)).scalar()


def exported(store: Store, *names: str) -> list[str]:
    return list(export(store, names or ("small", "other")))
