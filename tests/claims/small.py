"""The declared claims with less to train, for tests."""

from typing import Any

from tuner.claims.claim import Claim, Means
from tuner.claims.kinds import KINDS, load_claim
from tuner.claims.outcome import ClaimOutcome
from tuner.search.declared.files import parse

WORKLOAD = {"widths": [16, 16], "epochs": 4, "n_train": 512}


def small(name: str, **changes: Any) -> Claim:
    """A declared claim on a small workload, with some of its parameters replaced."""
    data = load_claim(name).model_dump(exclude_none=True)
    workload = {**data["workload"], **WORKLOAD, **changes.pop("workload", {})}
    changed = {**data, "workload": workload, **changes}
    return parse(KINDS[data["kind"]], changed, "test")


def check(claim: Claim) -> ClaimOutcome:
    """What the claim's check finds."""
    shares: list[float] = []
    outcome = claim.check(Means(), shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    return outcome
