"""The errors a user can meet, one line each: where, the rule, the value, the fix.

    TunerError
    ├── InvalidInput         a value, a file or a setting is refused (also a ValueError)
    │   └── UnknownName      a name is not one of the valid choices
    ├── DataMissing          a data set is not on this machine and could not be fetched
    ├── DeviceTooSmall       a single trial does not fit in a device's memory
    ├── NotFound             something of that name or number is not in the database
    │   └── NoComparison     a comparison, by its name (also an UnknownName)
    ├── Conflict             the state something is in does not allow this
    │   ├── Stale            it changed since it was last looked at
    │   └── Busy             it is being carried out; asked again soon, it may be done
    ├── Interrupted          training was told to stop, and can be gone on with
    └── DatabaseProblem      the database cannot be reached, or is of another version

Core code (``optim``, ``bnn``, ``train``, ``compare``) raises ``ValueError`` or one of these;
every message fits on one line, and the command line prints it and exits with 2.
"""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST, _MOST_CHOICES = 200, 200
"""A longer name is no slip of the pen, and more choices than these nobody reads."""


class TunerError(Exception):
    """Anything this software refuses or cannot do, in words meant for its user."""


class InvalidInput(TunerError, ValueError):
    """A value, a file or a setting breaks a rule that the message states."""


class UnknownName(InvalidInput):
    """A name is not one of the valid choices.

    Args:
        kind: What was named, such as ``"update rule"``.
        name: The name that was given.
        choices: The names that exist.
    """

    def __init__(self, kind: str, name: str, choices: Iterable[str]) -> None:
        valid = sorted(choices)
        shown = valid[:_MOST_CHOICES]
        close = get_close_matches(name, shown, n=1) if len(name) <= _LONGEST else []
        hint = f"; did you mean {close[0]!r}?" if close else ""
        said = repr(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}...")
        choose = ", ".join([*shown, *(["..."] if len(valid) > len(shown) else [])])
        there = f"choose from {choose}" if shown else "there is none"
        super().__init__(f"{kind} {said} is unknown{hint} ({there})")


class DataMissing(TunerError):
    """A data set is not on this machine; the message names where to put its files."""


class DeviceTooSmall(TunerError):
    """A single trial does not fit in a device's memory; the message names what would."""


class NotFound(TunerError):
    """Something of that name or number is not in the database."""


class NoComparison(NotFound, UnknownName):
    """The database holds no comparison of that name, or not any more.

    Args:
        name: The name that was given.
        choices: The names that exist.
    """

    def __init__(self, name: str, choices: Iterable[str]) -> None:
        UnknownName.__init__(self, "comparison", name, choices)


class Conflict(TunerError):
    """The state something is in does not allow this."""


class Stale(Conflict):
    """Something changed since it was last looked at."""


class Busy(Conflict):
    """Something is being carried out; asked again soon, it may be done."""


class Interrupted(TunerError):
    """Training was told to stop at the end of an epoch; what was trained can be gone on with."""


class DatabaseProblem(TunerError):
    """The database cannot be reached, or holds another version's tables."""
