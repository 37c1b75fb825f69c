"""What is said of functions of the user's where a workload names them: their form, no more."""

import re

from tuner.errors import InvalidInput
from tuner.workload.choices import DIRECTIONS

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def check_function(field: str, name: str) -> None:
    """Refuse what does not name a function.

    Raises:
        InvalidInput: Saying how one is named.
    """
    if not _FUNCTION.fullmatch(name):
        raise InvalidInput(
            f"workload.{field}: must name a function as package.module:function, got {name!r}"
        )


def check_direction(metric: str, direction: str) -> None:
    """Refuse a metric of the user's of which it is not said what is better.

    Raises:
        InvalidInput: Saying what can be said.
    """
    if direction not in DIRECTIONS:
        raise InvalidInput(
            f"workload.direction: say which {metric} is better, "
            f"{' or '.join(repr(each) for each in DIRECTIONS)}, got {direction!r}"
        )
