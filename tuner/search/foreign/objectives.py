"""Which of a study's objectives is meant."""

from tuner.errors import InvalidInput, UnknownName
from tuner.search.foreign.record import StudyRecord
from tuner.wording import setting


def objective_number(record: StudyRecord, chosen: str | None) -> int:
    """The number of an objective, from 0.

    Args:
        record: The study.
        chosen: Its name or its number; ``None`` for the only one.

    Raises:
        InvalidInput: If the study has several objectives and none is chosen.
        UnknownName: If it has no such objective.
    """
    names = record.objectives
    n_objectives = max(len(record.directions), len(names), 1)
    if chosen is None:
        if n_objectives == 1:
            return 0
        known = ", ".join(names or map(str, range(n_objectives)))
        raise InvalidInput(
            f"study {record.name!r} has {n_objectives} objectives ({known}); choose one with "
            f"{setting('objective')}, such as "
            f"{setting('objective', names[0] if names else '0')}"
        )
    if chosen in names:
        return names.index(chosen)
    if chosen.isdecimal() and int(chosen) < n_objectives:
        return int(chosen)
    if n_objectives == 1 and not names:
        return 0  # the only one, which nobody named
    raise UnknownName(
        f"study {record.name!r}: objective", chosen, names or map(str, range(n_objectives))
    )
