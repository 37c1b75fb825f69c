"""Which comparisons somebody looks for: by words, a tag, a state; archived ones if asked for."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, or_

from tuner.search.database.tables import ACTIVE, comparisons


@dataclass(frozen=True)
class Sought:
    """What comparisons are looked for.

    Args:
        words: All of them, separated by blanks, stand in its name, its tags or its notes; small
            and capital letters are the same, at least in ASCII.
        tag: It has this tag.
        status: It is in this state.
        archived: Whether those that were archived are looked for, instead of the others.
    """

    words: str = ""
    tag: str = ""
    status: str | None = None
    archived: bool = False

    @property
    def condition(self) -> ColumnElement[bool]:
        """What holds for their rows in ``tables.comparisons``."""
        hidden = comparisons.c.archived.is_not(None) & (comparisons.c.status != ACTIVE)
        conditions = [hidden if self.archived else ~hidden]
        conditions += [_contains(word) for word in _storable(self.words).lower().split()]
        if self.tag:
            tag = f" {_storable(self.tag).lower()} "
            conditions.append(comparisons.c.tags.contains(tag, autoescape=True))
        if self.status is not None:
            conditions.append(comparisons.c.status == self.status)
        return and_(*conditions)


EVERYTHING = Sought()
"""All but those that were archived."""


def _contains(word: str) -> ColumnElement[bool]:
    columns = (comparisons.c.name, comparisons.c.tags, comparisons.c.notes)
    return or_(*(func.lower(column).contains(word, autoescape=True) for column in columns))


def _storable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
