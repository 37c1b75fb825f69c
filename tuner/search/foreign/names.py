"""What the arms of a comparison are called: by what tells their studies apart."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from tuner.errors import InvalidInput
from tuner.search.foreign.address import Address
from tuner.search.foreign.record import StudyRecord
from tuner.search.foreign.shown import printable
from tuner.wording import count, setting

Found = tuple[Address | None, StudyRecord]


def arm_names(found: Sequence[Found], given: Sequence[str] = ()) -> list[str]:
    """A name for each study: its own, or its storage's where two studies have one name.

    Args:
        found: Where each study was read, if it was not handed over, and the study.
        given: What to call the first ones.

    Raises:
        InvalidInput: If a name is given twice, or more are given than there are studies.
    """
    if len(given) > len(found):
        raise InvalidInput(
            f"{setting('names')}: got {count(len(given), 'name')} for "
            f"{count(len(found), 'study', 'studies')}"
        )
    own = [printable(record.name) for _, record in found]
    names = [
        own[i] if own.count(own[i]) == 1 else _by_storage(i, found) for i in range(len(found))
    ]
    names = [*given, *names[len(given) :]]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise InvalidInput(
                f"two studies are called {name!r}; tell them apart with {setting('names')}: what "
                "to call the new one and the old one"
            )
    return names


def _by_storage(index: int, found: Sequence[Found]) -> str:
    """The fewest last parts of the storage's path that no other study of that name shares."""
    address, record = found[index]
    if address is None:
        return printable(record.name)
    others = [
        PurePosixPath(other.label)
        for i, (other, theirs) in enumerate(found)
        if other is not None and i != index and printable(theirs.name) == printable(record.name)
    ]
    parts = PurePosixPath(address.label).parts
    for length in range(1, len(parts) + 1):
        if all(other.parts[-length:] != parts[-length:] for other in others):
            return "/".join(parts[-length:])
    return f"{address.label}::{printable(record.name)}"
