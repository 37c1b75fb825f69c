"""The situations that ``tuner bench verdicts`` tries, in its order."""

from dataclasses import replace

from tuner.bench.verdicts.intervals import SEEN
from tuner.bench.verdicts.shapes import At, LowerTail, Mixed, Normal, Shape
from tuner.bench.verdicts.situation import NARROW, NEW, NEW_TPE, OLD, OLD_TPE, Situation
from tuner.bench.verdicts.space import KnownSpace, Learning, Runs

GOOD = Normal(0.95, 0.01)
"""What settings are worth in most situations: 95% and a point about it."""
OFTEN_AT_CHANCE = Mixed(0.4, At(0.1), GOOD)
TWO_KINDS = Mixed(0.3, Normal(0.96, 0.004), Normal(0.92, 0.01))
LONG_TAIL = LowerTail(0.98, 0.03)
RARE = Mixed(0.01, At(0.956), At(0.856))
POOR = Normal(0.93, 0.015)
BEST = Normal(0.97, 0.006)
"""Half-way between the poor and the best the good ones would be, as far as medians go."""


BEYOND_SEEN = {
    SEEN: "it says that it supposes no trial outside what was seen, and here there are such; the "
    "interval in front of it supposes the known bounds alone"
}


def _space(settings: Shape = GOOD, **runs: float) -> KnownSpace:
    return KnownSpace(settings, Runs(**runs))  # type: ignore[arg-type]  # images is a whole number


def _alike(space: KnownSpace, *others: str) -> dict[str, KnownSpace]:
    return dict.fromkeys((NEW, OLD, *others), space)


def _pair(
    new: KnownSpace, old: KnownSpace, narrow: KnownSpace | None = None
) -> dict[str, KnownSpace]:
    return {NEW: new, OLD: old} | ({} if narrow is None else {NARROW: narrow})


def _learns(**learning: float) -> KnownSpace:
    return KnownSpace(GOOD, learning=Learning(top=0.97, pace=6, **learning))


ALIKE = (
    Situation(
        name="alike-normal",
        words="both spaces the same, settings normally distributed",
        spaces=_alike(_space()),
        n=200,
        k=10,
    ),
    Situation(
        name="alike-chance",
        words="the same, 40% of the settings at chance",
        spaces=_alike(_space(OFTEN_AT_CHANCE)),
        n=200,
        k=10,
    ),
    Situation(
        name="alike-levels",
        words="the same, scores on the levels of 50 images",
        spaces=_alike(_space(images=50)),
        n=100,
        k=5,
    ),
    Situation(
        name="alike-two-kinds",
        words="the same, settings of two kinds",
        spaces=_alike(_space(TWO_KINDS)),
        n=100,
        k=5,
    ),
    Situation(
        name="alike-long-tail",
        words="the same, a long tail of poor settings",
        spaces=_alike(_space(LONG_TAIL)),
        n=200,
        k=10,
    ),
    Situation(
        name="alike-one-setting",
        words="all settings of both worth the same, noise alone",
        spaces=_alike(_space(At(0.95), sd=0.005)),
        n=100,
        k=10,
    ),
    Situation(
        name="alike-20",
        words="the same, few trials",
        spaces=_alike(_space()),
        n=20,
        k=2,
    ),
    Situation(
        name="alike-10",
        words="the same, ten trials, no selection",
        spaces=_alike(_space(OFTEN_AT_CHANCE)),
        n=10,
        k=1,
    ),
    Situation(
        name="alike-first",
        words="the same, no selection, half of the settings at chance",
        spaces=_alike(_space(Mixed(0.5, At(0.1), GOOD))),
        n=100,
        k=1,
    ),
    Situation(
        name="alike-1000",
        words="the same, many trials and a long search",
        spaces=_alike(_space(OFTEN_AT_CHANCE)),
        n=1000,
        k=20,
        effort=0.5,
    ),
)

COLLAPSES = (
    Situation(
        name="collapse-half-percent",
        words="0.5% of the new space's runs collapse, the others are 0.1 points better",
        spaces=_pair(_space(Normal(0.951, 0.01), collapse=0.005), _space()),
        n=200,
        k=10,
        excused=BEYOND_SEEN,
    ),
    Situation(
        name="collapse-2",
        words="2% of the runs of both collapse",
        spaces=_alike(_space(collapse=0.02)),
        n=100,
        k=5,
    ),
    Situation(
        name="collapse-6",
        words="6% of the new settings diverge, the others are 0.1 points better",
        spaces=_pair(
            _space(Mixed(0.06, At(0.1), Normal(0.971, 0.0004)), sd=0.0003),
            _space(Normal(0.97, 0.0004), sd=0.0003),
        ),
        n=20,
        k=2,
        excused=BEYOND_SEEN,
    ),
    Situation(
        name="collapse-7",
        words="7% of the new settings collapse, the others are worth the same",
        spaces=_pair(
            _space(Mixed(0.07, At(0.1), Normal(0.97, 0.001)), sd=0.0005),
            _space(Normal(0.97, 0.001), sd=0.0005),
        ),
        n=40,
        k=2,
        excused=BEYOND_SEEN,
    ),
    Situation(
        name="collapse-10",
        words="10% of all runs collapse by ten points, in the new space only",
        spaces=_pair(_space(collapse=0.1, collapsed=0.85), _space()),
        n=100,
        k=5,
    ),
    Situation(
        name="collapse-seeds",
        words="one setting; one run in twenty of the new one's collapses by ten points",
        spaces=_pair(
            _space(At(0.95), sd=0.001, collapse=0.05, collapsed=0.85), _space(At(0.95), sd=0.001)
        ),
        n=100,
        k=5,
    ),
)

NOISE = (
    Situation(
        name="noise-twice",
        words="all settings worth the same, the new one's runs twice as noisy",
        spaces=_pair(_space(At(0.95), sd=0.01), _space(At(0.95), sd=0.005)),
        n=100,
        k=10,
    ),
    Situation(
        name="noise-four-times",
        words="settings distributed alike, the new one's runs four times as noisy",
        spaces=_pair(_space(Normal(0.95, 0.002), sd=0.008), _space(Normal(0.95, 0.002), sd=0.002)),
        n=200,
        k=5,
    ),
    Situation(
        name="noise-two-kinds",
        words="two kinds of settings, the same in both; the new one's runs noisier",
        spaces=_pair(_space(TWO_KINDS, sd=0.006), _space(TWO_KINDS, sd=0.003)),
        n=100,
        k=5,
    ),
)

RARELY_GOOD = (
    Situation(
        name="rare-good",
        words="1% of the new settings are ten points better, the others the same",
        spaces=_pair(_space(RARE), _space(At(0.856))),
        n=200,
        k=10,
        target=0.9,
        excused=BEYOND_SEEN,
    ),
    Situation(
        name="rare-good-20",
        words="the same with few trials",
        spaces=_pair(_space(RARE), _space(At(0.856))),
        n=20,
        k=2,
        target=0.9,
        excused=BEYOND_SEEN,
    ),
    Situation(
        name="rare-target",
        words="both the same, 0.5% of the settings reach the target",
        spaces=_alike(_space(Mixed(0.005, At(0.98), GOOD), sd=0.001)),
        n=200,
        k=10,
        target=0.977,
        excused=BEYOND_SEEN,
    ),
)

MANY_ARMS = (
    Situation(
        name="arms-3",
        words="three arms, all the same",
        spaces=_alike(_space(), "other"),
        n=100,
        k=5,
    ),
    Situation(
        name="arms-6",
        words="six arms, all the same, 40% of the settings at chance",
        spaces=_alike(_space(OFTEN_AT_CHANCE), "other", "third", "fourth", "fifth"),
        n=40,
        k=2,
    ),
    Situation(
        name="arms-whole",
        words="every control and the repeated searches, all the same",
        spaces={
            **_alike(_space(), NARROW, "exact"),
            "defaults": KnownSpace(At(0.95), defaults=True, n=20),
            NEW_TPE: _learns(),
            OLD_TPE: _learns(),
        },
        n=60,
        k=3,
    ),
    Situation(
        name="arms-apart-then-alike",
        words="new and old differ, all that is asked after the verdict is alike",
        spaces={
            NEW: _space(Mixed(0.3, At(0.98), At(0.95)), sd=0.001),
            OLD: _space(Mixed(0.3, At(0.975), At(0.95)), sd=0.001),
            NEW_TPE: _learns(),
            OLD_TPE: _learns(),
        },
        n=100,
        k=5,
        target=0.965,
    ),
)

CONTROLS = (
    Situation(
        name="control-is-old",
        words="the new space is better; narrow ranges do no better than wide ones",
        spaces=_pair(_space(BEST), _space(POOR), _space(POOR)),
        n=200,
        k=10,
    ),
    Situation(
        name="control-is-new",
        words="the new space is better; narrow ranges do as well as it",
        spaces=_pair(_space(BEST), _space(POOR), _space(BEST)),
        n=200,
        k=10,
    ),
    Situation(
        name="control-half-way",
        words="narrow ranges leave just half of the difference",
        spaces=_pair(
            _space(Normal(0.97, 0.01)), _space(Normal(0.93, 0.01)), _space(Normal(0.95, 0.01))
        ),
        n=200,
        k=10,
    ),
    Situation(
        name="control-small",
        words="the control has ten trials, and is the old space",
        spaces=_pair(_space(BEST), _space(POOR), replace(_space(POOR), n=10)),
        n=200,
        k=10,
    ),
    Situation(
        name="control-of-equals",
        words="new and old the same, narrow ranges a point worse",
        spaces=_pair(
            _space(At(0.95), sd=0.001), _space(At(0.95), sd=0.001), _space(At(0.94), sd=0.001)
        ),
        n=100,
        k=5,
    ),
    Situation(
        name="control-of-equals-is-equal",
        words="new, old and narrow ranges the same",
        spaces=_alike(_space(At(0.95), sd=0.001), NARROW),
        n=100,
        k=5,
    ),
)

LEARNING = (
    Situation(
        name="stuck-10",
        words="repeated searches by a learning sampler, alike, one in ten gets stuck",
        spaces=_alike(_learns(stuck=0.1)),
        n=1,
        k=1,
        length=200,
    ),
    Situation(
        name="stuck-20",
        words="the same, one in five",
        spaces=_alike(_learns(stuck=0.2)),
        n=1,
        k=1,
    ),
    Situation(
        name="stuck-20-new",
        words="only one in five of the new space's searches gets stuck",
        spaces=_pair(_learns(stuck=0.2), _learns()),
        n=1,
        k=1,
    ),
    Situation(
        name="learning-second",
        words="random search of 40% at chance, and repeated searches of which a fifth gets stuck",
        spaces={
            **_alike(_space(OFTEN_AT_CHANCE)),
            NEW_TPE: _learns(stuck=0.2),
            OLD_TPE: _learns(stuck=0.2),
        },
        n=100,
        k=5,
    ),
)

LOOKS = (
    Situation(
        name="watched-20-pairs",
        words="both the same, 40% at chance, looked at after every pair",
        spaces=_alike(_space(OFTEN_AT_CHANCE)),
        n=40,
        k=2,
        looks="after every pair",
        effort=0.4,
    ),
    Situation(
        name="watched-50-pairs",
        words="all settings worth the same, the new one's runs noisier, looked at likewise",
        spaces=_pair(_space(At(0.95), sd=0.01), _space(At(0.95), sd=0.005)),
        n=100,
        k=2,
        target=None,
        seeds=0,
        looks="after every pair",
        effort=0.2,
    ),
    Situation(
        name="watched-trials",
        words="both the same, looked at after every 20 trials, nothing trained afresh yet",
        spaces=_alike(_space(OFTEN_AT_CHANCE)),
        n=200,
        k=2,
        looks="while trials run",
        effort=0.4,
    ),
)

LOSSES = (
    Situation(
        name="losses-alike",
        words="losses without bounds, the same, one run in fifty explodes",
        spaces=_alike(
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
            NEW: _space(Normal(-0.30, 0.01), sd=0.005, least=-1e9),
            OLD: _space(Normal(-0.35, 0.01), sd=0.005, least=-1e9),
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
        spaces=_alike(_space(At(0.1), sd=0.005)),
        n=100,
        k=5,
        nothing_learned=True,
    ),
    Situation(
        name="failed-everywhere",
        words="every run of both spaces diverged",
        spaces=_alike(_space(At(0.1), sd=0.0, collapse=1.0)),
        n=40,
        k=2,
        nothing_learned=True,
    ),
    Situation(
        name="validation-only",
        words="all settings worth the same, the new one's runs noisier, nothing trained afresh",
        spaces=_pair(
            _space(At(0.95), sd=0.01), _space(At(0.95), sd=0.005), _space(At(0.95), sd=0.005)
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
        spaces=_pair(_space(Normal(0.955, 0.01)), _space()),
        n=200,
        k=10,
    ),
    Situation(
        name="apart-old-better",
        words="the old space is better, 40% of the settings of both at chance",
        spaces=_pair(_space(OFTEN_AT_CHANCE), _space(Mixed(0.4, At(0.1), Normal(0.96, 0.01)))),
        n=200,
        k=10,
    ),
    Situation(
        name="apart-slightly",
        words="the new space is better by 0.2 points, less than matters",
        spaces=_pair(_space(At(0.952), sd=0.002), _space(At(0.95), sd=0.002)),
        n=1000,
        k=10,
        effort=0.5,
    ),
    Situation(
        name="apart-by-the-rope",
        words="the difference is just what matters: 0.3 points, never equivalent",
        spaces=_pair(_space(At(0.9531), sd=0.002), _space(At(0.95), sd=0.002)),
        n=100,
        k=5,
    ),
)

SITUATIONS: tuple[Situation, ...] = (
    *ALIKE,
    *COLLAPSES,
    *NOISE,
    *RARELY_GOOD,
    *MANY_ARMS,
    *CONTROLS,
    *LEARNING,
    *LOOKS,
    *LOSSES,
    *NOTHING,
    *APART,
)
