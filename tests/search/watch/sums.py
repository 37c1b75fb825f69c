"""That what is said of a database's trials adds up."""

from tuner.search.database.store import Store
from tuner.search.watch import views
from tuner.search.watch.progress import progress


def check_sums(store: Store) -> None:
    """All numbers of trials add up, and studies say what their arms say."""
    rows = views.list_studies(store, limit=100)
    for row in rows:
        assert row.n_trials == row.waiting + row.running + row.done + row.failed + row.cancelled
    for name in store.names():
        spec = store.comparison(name)
        arms = progress(store, spec).arms
        assert arms == views.arms_of(store, spec)
        for arm in arms:
            ended = arm.done + arm.retrained + arm.cancelled
            assert ended + arm.running + arm.waiting == arm.total + arm.to_retrain
            of_arm = [row for row in rows if (row.comparison, row.arm) == (name, arm.name)]
            for number in ("waiting", "running", "failed"):
                assert getattr(arm, number) == sum(getattr(row, number) for row in of_arm)
            assert arm.cancelled + arm.afresh_cancelled == sum(row.cancelled for row in of_arm)
