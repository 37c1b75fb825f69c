"""What the verdict says of other test images, where they would change what one concludes."""

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from tests.compare.made_verdicts import MakeArm, scores
from tuner.compare import Comparison, Protocol, compare, words
from tuner.compare.arm import SelectedRuns
from tuner.compare.report.terminal import print_table


def runs_on(
    rng: np.random.Generator, images: int, mean: float, spread: float = 1e-4
) -> SelectedRuns:
    """Fresh runs that all miss the same images of a new choice, as many as the mean says."""
    hits = np.ones((20, images), dtype=bool)
    hits[:, rng.permutation(images)[: round((1 - mean) * images)]] = False
    test = hits.mean(axis=1) + spread * rng.permutation(np.linspace(-1, 1, 20))
    return SelectedRuns(np.arange(20), val=test, test=test, planned=20, hits=hits)


def compared(arm: MakeArm, images: int, means: tuple[float, float], **runs: float) -> Comparison:
    rng = np.random.default_rng(0)
    arms = [
        arm(name, scores(0.96, seed), selected=runs_on(rng, images, mean, **runs))
        for seed, (name, mean) in enumerate(zip(("filter", "magnitude"), means, strict=True))
    ]
    return compare(arms, Protocol(rope=0.01))


@pytest.mark.parametrize(
    ("means", "images", "kind", "holds"),
    [
        ((0.96, 0.94), 200, "supported", "holds 0"),
        ((0.94, 0.96), 200, "supported", "holds 0"),
        ((0.95, 0.95), 200, "equivalent", "leaves that region"),
        ((0.96, 0.94), 20_000, "supported", None),
        ((0.95, 0.95), 20_000, "equivalent", None),
    ],
)
def test_other_images_are_named_beside_the_interval_where_they_change_the_conclusion(
    arm: MakeArm, means: tuple[float, float], images: int, kind: str, holds: str | None
) -> None:
    found = compared(arm, images, means)
    assert found.verdict.kind == kind
    searches = found.contrasts[0].selected
    assert searches is not None and searches.other_images is not None
    if holds is None:
        assert "images" not in found.verdict.text
        return
    low, high = searches.other_images.interval
    shown = words.interval((-high, -low) if means[0] < means[1] else (low, high), found.protocol)
    sentence = f"On other test images of the kind the interval {holds} ({shown})."
    before, after = found.verdict.text.split(sentence)
    assert before.endswith("of all pairs. ") and "Not tested on other workloads." in after
    terminal = StringIO()
    print_table(found, Console(file=terminal, width=2000))
    assert f"On other test images of the kind the interval {holds}" in terminal.getvalue()


def test_an_open_question_says_nothing_of_other_images(arm: MakeArm) -> None:
    found = compared(arm, 200, (0.95, 0.95), spread=0.04)
    assert found.verdict.kind == "inconclusive"
    searches = found.contrasts[0].selected
    assert searches is not None and searches.other_images is not None
    assert "images" not in found.verdict.text
