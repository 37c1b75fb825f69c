"""The trials of an arm, one after another, whichever of its studies they are in."""

from collections.abc import Sequence

from sqlalchemy import case, select

from tuner.search.database.store import Store
from tuner.search.database.tables import HELD, WAITING, studies, trials
from tuner.search.watch.views import TrialRow, storable


def trials_of_arm(
    store: Store,
    comparison: str,
    arm: str,
    *,
    limit: int,
    after: tuple[int, int] | None = None,
    study_name: str | None = None,
    state: str | None = None,
) -> list[tuple[int, TrialRow]]:
    """Trials of an arm, each with its study's number, by study and position.

    Args:
        store: The database.
        comparison: Whose arm it is.
        arm: Its name.
        limit: How many at most.
        after: Only those after this place: a study's number and a position in it.
        study_name: Only this study's.
        state: Only those in this state; held ones count as waiting.
    """
    shown = case((trials.c.state == HELD, WAITING), else_=trials.c.state).label("state")
    columns = [shown if name == "state" else trials.c[name] for name in TrialRow._fields]
    query = (
        select(studies.c.id, *columns)
        .join(trials, trials.c.study_name == studies.c.study_name)
        .where(studies.c.comparison == storable(comparison), studies.c.arm == storable(arm))
        .order_by(studies.c.id, trials.c.position)
        .limit(limit)
    )
    if after is not None:
        study_id, position = after
        same = (studies.c.id == study_id) & (trials.c.position > position)
        query = query.where((studies.c.id > study_id) | same)
    if study_name is not None:
        query = query.where(studies.c.study_name == storable(study_name))
    if state is not None:
        states: Sequence[str] = (WAITING, HELD) if state == WAITING else (state,)
        query = query.where(trials.c.state.in_(states))
    with store.reader.connect() as connection:
        rows = connection.execute(query).all()
    return [(study_id, TrialRow._make(row)) for study_id, *row in rows]
