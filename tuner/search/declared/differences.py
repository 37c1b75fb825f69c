"""Where two declarations under one name differ, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from tuner.search.declared.files import shown

_MOST = 3
"""Fields that are named; of the others it is said how many they are."""

_MOST_CHARACTERS = 60
_UNTOLD = ("description",)
"""Fields that may differ: declarations that do in these alone are the same."""

Table = Mapping[str, Any]  # Any: any JSON value


def differences(there: Table, here: Table) -> list[str]:
    """The first fields in which two declarations differ, with both values; how many more do.

    Args:
        there: What is declared already, as in its JSON.
        here: The other one.
    """
    found = list(_differing(there, here, ""))
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return found[:_MOST] + more


def _differing(there: Table, here: Table, place: str) -> Iterator[str]:
    for key in dict.fromkeys((*there, *here)):
        ours, theirs, field = here.get(key), there.get(key), f"{place}{key}"
        if key in _UNTOLD or ours == theirs:
            continue
        if isinstance(ours, dict) and isinstance(theirs, dict):
            yield from _differing(theirs, ours, f"{field}.")
        elif field == "arms" and ours and theirs:
            yield from _differing_arms(theirs, ours)
        else:
            yield f"{field} {_value(theirs)} there, {_value(ours)} here"


def _differing_arms(there: list[Table], here: list[Table]) -> Iterator[str]:
    """As of tables, by the arms' names; that some are missing, or in another order, is one."""
    theirs, ours = ({arm["name"]: arm for arm in arms} for arms in (there, here))
    if list(theirs) != list(ours):
        yield f"arms {_value(list(theirs))} there, {_value(list(ours))} here"
    for name, arm in theirs.items():
        yield from _differing(arm, ours.get(name, arm), f"arms.{name}.")


def _value(value: object) -> str:
    return "not given" if value is None else shown(value, _MOST_CHARACTERS)
