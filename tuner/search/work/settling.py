"""A look at a comparison that may end early: it ends there, or goes on to the next one."""

from dataclasses import replace

from sqlalchemy import select, update

from tuner.errors import InvalidInput
from tuner.search.database.events import record
from tuner.search.database.store import Store
from tuner.search.database.tables import ACTIVE, comparisons, studies
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.watch.progress import progress

SETTLED = ("supported", "equivalent", "fragile")
"""The kinds of verdict that end a comparison."""


def take_look(store: Store, spec: ComparisonSpec) -> None:
    """Look at the verdict once all up to the look has ended; nothing if somebody else did.

    Where it is settled, the judged arms have all their trials, and their incumbents are retrained;
    else they get those up to the next look.

    Args:
        store: The database.
        spec: The comparison.
    """
    before = store.budgets(spec.name)
    reached = progress(store, spec)  # after the budgets: what a look added has not ended
    if not (reached.ended and reached.undecided):
        return
    number, after = _next(spec, before)
    settled = _settled(store, spec)
    if settled:
        incumbents = [spec.retraining(arm).study_name for arm in spec.judged]
        after = before | dict.fromkeys(incumbents, spec.retrain_seeds)
    with store.begin() as connection:
        locked = connection.execute(
            update(comparisons)
            .where(comparisons.c.name == spec.name, comparisons.c.status == ACTIVE)
            .values(revision=comparisons.c.revision + 1)
        )
        query = select(studies).where(studies.c.comparison == spec.name)
        now = {row.study_name: row.n_trials for row in connection.execute(query)}
        if not locked.rowcount or now != before:
            connection.rollback()
            return
        for name, n_trials in after.items():
            if n_trials != before[name]:
                connection.execute(
                    update(studies)
                    .where(studies.c.study_name == name)
                    .values(n_trials=n_trials, revision=studies.c.revision + 1)
                )
        record(connection, spec.name, "settled" if settled else "not settled", n=number)


def _next(spec: ComparisonSpec, before: dict[str, int]) -> tuple[int, dict[str, int]]:
    """After how many searches this look is, and what is run up to the next one, or the end."""
    ends = (*spec.looks, None)
    number = next(look for look in spec.looks if spec.budgets(look) == before)
    return number, spec.budgets(ends[ends.index(number) + 1])


def _settled(store: Store, spec: ComparisonSpec) -> bool:
    """Whether the verdict on the judged arms is one that ends the comparison."""
    from tuner.compare import compare  # scipy takes a second or two to import
    from tuner.search.results.arms import arms

    names = [arm.name for arm in spec.judged]
    try:
        found, protocol = arms(store, spec.name)
        judged = [arm for arm in found if arm.name in names]
        alone = replace(protocol, repeated=None, exact=None)
        return compare(judged, alone).verdict.kind in SETTLED
    except InvalidInput:  # an arm of which every trial failed: nothing is settled
        return False
