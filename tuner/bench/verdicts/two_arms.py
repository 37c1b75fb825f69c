"""Situations of two spaces, searched at random."""

from tuner.bench.verdicts.made_spaces import (
    BEYOND_SEEN,
    GOOD,
    LONG_TAIL,
    OFTEN_AT_CHANCE,
    RARE,
    TWO_KINDS,
    alike,
    pair,
    space,
)
from tuner.bench.verdicts.shapes import At, Mixed, Normal
from tuner.bench.verdicts.situation import NEW, OLD, Situation
from tuner.bench.verdicts.space import KnownSpace, Runs

ALIKE = (
    Situation(
        name="alike-normal",
        words="both spaces the same, settings normally distributed",
        spaces=alike(space()),
        n=200,
        k=10,
    ),
    Situation(
        name="alike-chance",
        words="the same, 40% of the settings at chance",
        spaces=alike(space(OFTEN_AT_CHANCE)),
        n=200,
        k=10,
    ),
    Situation(
        name="alike-levels",
        words="the same, scores on the levels of 50 images",
        spaces=alike(space(images=50)),
        n=100,
        k=5,
    ),
    Situation(
        name="alike-two-kinds",
        words="the same, settings of two kinds",
        spaces=alike(space(TWO_KINDS)),
        n=100,
        k=5,
    ),
    Situation(
        name="alike-long-tail",
        words="the same, a long tail of poor settings",
        spaces=alike(space(LONG_TAIL)),
        n=200,
        k=10,
    ),
    Situation(
        name="alike-one-setting",
        words="all settings of both worth the same, noise alone",
        spaces=alike(space(At(0.95), sd=0.005)),
        n=100,
        k=10,
    ),
    Situation(name="alike-20", words="the same, few trials", spaces=alike(space()), n=20, k=2),
    Situation(
        name="alike-10",
        words="the same, ten trials, no selection",
        spaces=alike(space(OFTEN_AT_CHANCE)),
        n=10,
        k=1,
    ),
    Situation(
        name="alike-first",
        words="the same, no selection, half of the settings at chance",
        spaces=alike(space(Mixed(0.5, At(0.1), GOOD))),
        n=100,
        k=1,
    ),
    Situation(
        name="alike-1000",
        words="the same, many trials and a long search",
        spaces=alike(space(OFTEN_AT_CHANCE)),
        n=1000,
        k=20,
        effort=0.5,
    ),
)

COLLAPSES = (
    Situation(
        name="collapse-half-percent",
        words="0.5% of the new space's runs collapse, the others are 0.1 points better",
        spaces=pair(space(Normal(0.951, 0.01), collapse=0.005), space()),
        n=200,
        k=10,
        excused=BEYOND_SEEN,
    ),
    Situation(
        name="collapse-2",
        words="2% of the runs of both collapse",
        spaces=alike(space(collapse=0.02)),
        n=100,
        k=5,
    ),
    Situation(
        name="collapse-6",
        words="6% of the new settings diverge, the others are 0.1 points better",
        spaces=pair(
            space(Mixed(0.06, At(0.1), Normal(0.971, 0.0004)), sd=0.0003),
            space(Normal(0.97, 0.0004), sd=0.0003),
        ),
        n=20,
        k=2,
        excused=BEYOND_SEEN,
    ),
    Situation(
        name="collapse-7",
        words="7% of the new settings collapse, the others are worth the same",
        spaces=pair(
            space(Mixed(0.07, At(0.1), Normal(0.97, 0.001)), sd=0.0005),
            space(Normal(0.97, 0.001), sd=0.0005),
        ),
        n=40,
        k=2,
        excused=BEYOND_SEEN,
    ),
    Situation(
        name="collapse-10",
        words="10% of all runs collapse by ten points, in the new space only",
        spaces=pair(space(collapse=0.1, collapsed=0.85), space()),
        n=100,
        k=5,
    ),
    Situation(
        name="collapse-seeds",
        words="one setting; one run in twenty of the new one's collapses by ten points",
        spaces=pair(
            space(At(0.95), sd=0.001, collapse=0.05, collapsed=0.85), space(At(0.95), sd=0.001)
        ),
        n=100,
        k=5,
    ),
)

NOISE = (
    Situation(
        name="noise-twice",
        words="all settings worth the same, the new one's runs twice as noisy",
        spaces=pair(space(At(0.95), sd=0.01), space(At(0.95), sd=0.005)),
        n=100,
        k=10,
    ),
    Situation(
        name="noise-four-times",
        words="settings distributed alike, the new one's runs four times as noisy",
        spaces=pair(space(Normal(0.95, 0.002), sd=0.008), space(Normal(0.95, 0.002), sd=0.002)),
        n=200,
        k=5,
    ),
    Situation(
        name="noise-two-kinds",
        words="two kinds of settings, the same in both; the new one's runs noisier",
        spaces=pair(space(TWO_KINDS, sd=0.006), space(TWO_KINDS, sd=0.003)),
        n=100,
        k=5,
    ),
)

RARELY_GOOD = (
    Situation(
        name="rare-good",
        words="1% of the new settings are ten points better, the others the same",
        spaces=pair(space(RARE), space(At(0.856))),
        n=200,
        k=10,
        target=0.9,
        excused=BEYOND_SEEN,
    ),
    Situation(
        name="rare-good-20",
        words="the same with few trials",
        spaces=pair(space(RARE), space(At(0.856))),
        n=20,
        k=2,
        target=0.9,
        excused=BEYOND_SEEN,
    ),
    Situation(
        name="rare-target",
        words="both the same, 0.5% of the settings reach the target",
        spaces=alike(space(Mixed(0.005, At(0.98), GOOD), sd=0.001)),
        n=200,
        k=10,
        target=0.977,
        excused=BEYOND_SEEN,
    ),
)

LOSSES = (
    Situation(
        name="losses-alike",
        words="losses without bounds, the same, one run in fifty explodes",
        spaces=alike(
            KnownSpace(
                Normal(-0.3, 0.02),
                Runs(sd=0.01, collapse=0.02, collapsed=-1e6, least=-1e9, greatest=1e9),
            )
        ),
        n=100,
        k=5,
        target=-0.28,
        losses=True,
        chance=None,
    ),
    Situation(
        name="losses-apart",
        words="losses that differ; a third arm's explode",
        spaces={
            NEW: space(Normal(-0.30, 0.01), sd=0.005, least=-1e9),
            OLD: space(Normal(-0.35, 0.01), sd=0.005, least=-1e9),
            "other": KnownSpace(
                Normal(-0.5, 0.1), Runs(sd=0.01, collapse=0.03, collapsed=-1e6, least=-1e9)
            ),
        },
        n=40,
        k=2,
        target=None,
        losses=True,
        chance=None,
    ),
)

NOTHING = (
    Situation(
        name="chance-everywhere",
        words="nothing was learned in either space: all at chance, within noise",
        spaces=alike(space(At(0.1), sd=0.005)),
        n=100,
        k=5,
        nothing_learned=True,
    ),
    Situation(
        name="failed-everywhere",
        words="every run of both spaces diverged",
        spaces=alike(space(At(0.1), sd=0.0, collapse=1.0)),
        n=40,
        k=2,
        nothing_learned=True,
    ),
    Situation(
        name="validation-only",
        words="all settings worth the same, the new one's runs noisier, nothing trained afresh",
        spaces=pair(
            space(At(0.95), sd=0.01), space(At(0.95), sd=0.005), space(At(0.95), sd=0.005)
        ),
        n=200,
        k=10,
        seeds=0,
        afresh=False,
    ),
)

APART = (
    Situation(
        name="apart-clearly",
        words="the new space is better by about one standard deviation of what is selected",
        spaces=pair(space(Normal(0.955, 0.01)), space()),
        n=200,
        k=10,
    ),
    Situation(
        name="apart-old-better",
        words="the old space is better, 40% of the settings of both at chance",
        spaces=pair(space(OFTEN_AT_CHANCE), space(Mixed(0.4, At(0.1), Normal(0.96, 0.01)))),
        n=200,
        k=10,
    ),
    Situation(
        name="apart-slightly",
        words="the new space is better by 0.2 points, less than matters",
        spaces=pair(space(At(0.952), sd=0.002), space(At(0.95), sd=0.002)),
        n=1000,
        k=10,
        effort=0.5,
    ),
    Situation(
        name="apart-by-the-rope",
        words="the difference is just what matters: 0.3 points, never equivalent",
        spaces=pair(space(At(0.9531), sd=0.002), space(At(0.95), sd=0.002)),
        n=100,
        k=5,
    ),
)
