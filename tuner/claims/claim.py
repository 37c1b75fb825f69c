"""What every declared claim has, whatever its kind."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StringConstraints

from tuner.claims.outcome import ClaimOutcome
from tuner.search.declared.arm_spec import Name
from tuner.search.declared.files import Declared

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Positive = Annotated[StrictFloat, Field(gt=0)]
Share = Annotated[StrictFloat, Field(gt=0, lt=1)]
Settings = dict[str, StrictBool | StrictFloat | StrictInt | str]
"""Hyperparameters as they stand in a file; ``tuner.rules.complete`` checks them."""

OnProgress = Callable[[float], None]
"""Called with the share of a check that is done, in [0, 1]."""


@dataclass(frozen=True)
class Means:
    """What a check may use.

    Args:
        database: The address where searches are kept; ``None`` for a temporary one.
        workers: Processes of a search; ``None`` for one per GPU, or one per core.
    """

    database: str | None = None
    workers: int | None = None


class Claim(Declared):
    """A claim and the check that measures it.

    Args:
        name: What it is called: the file's name unless the file says another.
        title: In a few words.
        says: What it says, in one sentence.
        kind: Which check it is.
    """

    name: Name
    title: Text
    says: Text
    kind: str

    @abstractmethod
    def check(self, means: Means, progress: OnProgress) -> ClaimOutcome:
        """Measure, and hold against what is expected."""

    @property
    def declaration(self) -> dict[str, Any]:
        """Everything declared, defaults included, as plain data."""
        return self.model_dump(mode="json")

    @property
    def declaration_hash(self) -> str:
        """SHA-256, in hex, of all that decides the measurement: without title and sentence."""
        decides = self.model_dump(mode="json", exclude={"title", "says"})
        canonical = json.dumps(decides, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def part(progress: OnProgress, number: int, parts: int) -> OnProgress:
    """The progress of one of several equal parts, counted from 0."""
    return lambda share: progress((number + share) / parts)
