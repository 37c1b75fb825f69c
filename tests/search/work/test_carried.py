"""A worker asks a search's sampler as if the search had begun with the carried trials."""

from contextlib import closing

import optuna
import pytest
from comparisons import comparison, enqueue, work_here

from tuner.compare.comparison import compare
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import open_store
from tuner.search.foreign.arm import arm_of
from tuner.search.foreign.record import record_of
from tuner.search.results.arms import arms

CARRIED = {
    "source": "old.db::sgd",
    "workload": "digits, mlp 64-64, 1 epoch",
    "trials": [
        {
            "number": number,
            "value": 0.9 if number < 10 else 0.1,
            "settings": {
                "alpha": (0.02 if number < 10 else 2e-5) * (1 + number / 50),
                "gamma": 0.5,
                "alpha_decay": "cosine",
            },
        }
        for number in range(30)
    ],
}


@pytest.mark.slow
def test_the_first_trials_lie_where_the_carried_ones_were_good(sqlite_url):
    cold = {"name": "cold", "space": "filter", "sampler": "tpe"}
    warm = cold | {"name": "warm", "carried": CARRIED}
    spec = comparison(arms=[warm, cold], verdict={}, retrain_seeds=0)
    with closing(open_store(sqlite_url)) as store:
        enqueue(store, spec)
        work_here(store)
        tried = {
            name: [t.params["alpha"] for t in finished_trials(store, f"small/{name}")]
            for name in ("warm", "cold")
        }
        assert len(tried["warm"]) == len(tried["cold"]) == 6
        assert min(tried["warm"]) > 1e-3
        assert min(tried["cold"]) < 1e-3
        found, protocol = arms(store, "small")
        assert found[0].n == 6
        notes = "\n".join(compare(found, protocol).notes)
    study = optuna.load_study(study_name="small/warm", storage=sqlite_url)
    assert arm_of(record_of(study)).arm.carried == found[0].carried != ""
    assert "warm: its sampler began from 30 trials carried from old.db::sgd, 30 of them" in notes
    assert "which trained digits, mlp 64-64, 1 epoch; they are no trials of its own" in notes
    assert record_of(study).trained == protocol.workload != CARRIED["workload"]
