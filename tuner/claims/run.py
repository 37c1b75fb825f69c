"""Run claims one after the other; the results as plain data.

    schema_version   1
    versions         {package: version}, Python's too
    kernels          whether the compiled operations were in use
    claims           [{name, kind, title, says, verdict, seconds, declaration, declaration_hash,
                       figures: [{label, value, shown, expected, verdict, low, high}]}]
    failed           {name: why it could not be checked}
    stopped          whether Ctrl-C ended the run

A number that is unknown or infinite is null; so is the verdict of a figure only reported.
"""

import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from tuner.claims.claim import Claim, Means
from tuner.claims.outcome import ClaimOutcome
from tuner.errors import TunerError
from tuner.kernels import library
from tuner.machine import versions

SCHEMA_VERSION = 1
PACKAGES = ("bnn-tuner", "torch", "numpy", "optuna")

OnStep = Callable[[Claim, float], None]
"""Called with the claim that is being checked and the share of it that is done."""


def _quiet(_claim: Claim, _share: float) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class Checked:
    """A claim that was checked.

    Args:
        claim: Its declaration.
        outcome: What was measured.
        seconds: How long that took.
    """

    claim: Claim
    outcome: ClaimOutcome
    seconds: float


@dataclass
class ClaimResults:
    """What a run has measured so far.

    Args:
        checked: The claims that were checked, in order.
        failed: Claim -> why it could not be checked.
        stopped: Whether Ctrl-C ended the run.
    """

    checked: list[Checked] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: bool = False

    def to_json(self) -> dict[str, Any]:
        """The results as dicts, lists, strings and finite numbers."""
        return {
            "schema_version": SCHEMA_VERSION,
            "versions": {"python": platform.python_version(), **versions(*PACKAGES)},
            "kernels": library() is not None,
            "claims": [_plain(checked) for checked in self.checked],
            "failed": self.failed,
            "stopped": self.stopped,
        }


def check_claims(
    claims: Sequence[Claim], means: Means, *, on_step: OnStep = _quiet
) -> ClaimResults:
    """Check the claims in the order given; what was measured before a Ctrl-C counts.

    Args:
        claims: What to check.
        means: What the checks may use.
        on_step: Called with where the run is.
    """
    results = ClaimResults()
    for claim in claims:
        began = time.perf_counter()
        on_step(claim, 0.0)
        try:
            outcome = claim.check(means, partial(on_step, claim))
        except KeyboardInterrupt:
            results.stopped = True
            break
        except TunerError as error:
            results.failed[claim.name] = str(error)
        else:
            results.checked.append(Checked(claim, outcome, time.perf_counter() - began))
    return results


def _plain(checked: Checked) -> dict[str, Any]:
    claim = checked.claim
    figures = [asdict(figure) for figure in checked.outcome.figures]
    return {
        "name": claim.name,
        "kind": claim.kind,
        "title": claim.title,
        "says": claim.says,
        "verdict": checked.outcome.verdict,
        "seconds": checked.seconds,
        "declaration": claim.declaration,
        "declaration_hash": claim.declaration_hash,
        "figures": [{key: _finite(value) for key, value in each.items()} for each in figures],
    }


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
