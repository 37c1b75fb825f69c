"""What people write on comparisons for themselves: notes, tags, that one is archived."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, update

from tuner.errors import Conflict, InvalidInput, NotFound, Stale
from tuner.search.database.events import record
from tuner.search.database.store import Store
from tuner.search.database.tables import ACTIVE, LONGEST_NOTES, TAG, Now, comparisons

MOST_TAGS = 20
_TAG = re.compile(TAG)


@dataclass(frozen=True)
class Labels:
    """Changes to what is written on a comparison; None leaves a part as it is.

    Args:
        notes: Any text of at most ``LONGEST_NOTES`` characters.
        tags: Each 1 to 40 of a-z, 0-9, ``_``, ``.`` and ``-``; capital letters become small.
        archived: Whether lists leave it out unless they are asked for it.
    """

    notes: str | None = None
    tags: Sequence[str] | None = None
    archived: bool | None = None


def change_labels(store: Store, name: str, labels: Labels, *, revision: int | None = None) -> None:
    """Write on a comparison.

    Args:
        store: The database.
        name: The comparison.
        labels: What to change.
        revision: Do it only if this is still its revision.

    Raises:
        InvalidInput: If the notes or a tag are not such.
        NotFound: If there is no comparison of that name.
        Conflict: If one that is active would be archived.
        Stale: If it has another revision.
    """
    values: dict[str, object] = {}
    if labels.notes is not None:
        values["notes"] = _notes(labels.notes)
    if labels.tags is not None:
        values["tags"] = written_tags(labels.tags)
    if labels.archived is not None:
        values["archived"] = Now() if labels.archived else None
    this = comparisons.c.name == name
    with store.begin() as connection:
        connection.execute(update(comparisons).where(this).values(revision=comparisons.c.revision))
        row = connection.execute(select(comparisons).where(this)).first()
        if row is None:
            raise NotFound(f"comparison {name!r} is not in the database")
        if revision is not None and row.revision != revision:
            raise Stale(
                f"comparison {name!r} changed meanwhile: it is at revision {row.revision}, not "
                f"{revision}; read it again"
            )
        if labels.archived and row.status == ACTIVE:
            raise Conflict(
                f"comparison {name!r} is active; pause or cancel it before archiving it"
            )
        connection.execute(
            update(comparisons).where(this).values(**values, revision=row.revision + 1)
        )
        record(connection, name, "labelled")


def written_tags(tags: Sequence[str]) -> str:
    """The tags as the table has them: each once, in order, between blanks.

    Raises:
        InvalidInput: If one is malformed, or there are too many.
    """
    kept = sorted({tag.strip().lower() for tag in tags})
    for tag in kept:
        if not _TAG.fullmatch(tag):
            raise InvalidInput(
                f"tags: must be 1 to 40 letters a-z, digits, '_', '.' or '-' each, got {tag!r}"
            )
    if len(kept) > MOST_TAGS:
        raise InvalidInput(f"tags: must be at most {MOST_TAGS}, got {len(kept)}")
    return f" {' '.join(kept)} " if kept else ""


def _notes(notes: str) -> str:
    if len(notes) > LONGEST_NOTES:
        raise InvalidInput(f"notes: must be at most {LONGEST_NOTES} characters, got {len(notes)}")
    if "\0" in notes or (not notes.isascii() and _is_broken(notes)):
        raise InvalidInput("notes: hold text that cannot be written down (a null, half a pair)")
    return notes.strip()


def _is_broken(text: str) -> bool:
    """Whether the text holds one half of a surrogate pair, as JSON can."""
    return any("\ud800" <= character <= "\udfff" for character in text)
