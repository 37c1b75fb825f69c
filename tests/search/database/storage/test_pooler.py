"""The product works behind PgBouncer in transaction mode, by few connections of PostgreSQL's."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from comparisons import comparison, keep_and_finish, work_here
from pooler import is_installed, pooled

from tuner.search.database.store import open_store
from tuner.search.watch.progress import progress
from tuner.search.work.keeper import Keeper

CONNECTIONS, WORKERS = 2, 6

pytestmark = pytest.mark.skipif(not is_installed(), reason="Debian's pgbouncer is not installed")


@pytest.fixture
def through(postgres_url: str) -> Iterator[str]:
    with pooled(postgres_url, connections=CONNECTIONS) as address:
        yield address


@pytest.mark.slow
def test_many_workers_run_a_comparison_through_a_pooler_by_few_connections(
    through: str, postgres_url: str
):
    spec = comparison(n_trials=24)
    with closing(open_store(through)) as store:
        store.declare(spec)
        Keeper(store).tend()

        def work(number: int) -> None:
            with closing(open_store(through, must_exist=True)) as own:
                work_here(own, name=f"worker-{number}")

        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(work, range(WORKERS)))
        ran = {
            trial.user_attrs["run"]["worker"]
            for study in spec.studies()
            for trial in store.trials_of(study.study_name)
        }
        keep_and_finish(store)
        assert progress(store, spec).complete
    assert len(ran) > 1
    with psycopg.connect(postgres_url) as watching:
        count = "select count(*) from pg_stat_activity where datname = current_database()"
        assert watching.execute(count).fetchone() == (CONNECTIONS + 1,)  # this one


def test_limits_hold_in_each_transaction_and_nothing_is_prepared(through: str):
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    with closing(open_store(through)) as store:
        for _ in range(10):
            with store.begin() as connection:
                shown = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]
                assert shown == ["10s", "10min", "40s"]
            with store.reader.connect() as connection:
                assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "0"
        with store.reader.connect() as connection:
            prepared = "select count(*) from pg_prepared_statements"
            assert connection.exec_driver_sql(prepared).scalar() == 0
