"""Situations of controls, further arms, samplers that learn, and looks before the end."""

from dataclasses import replace

from tuner.bench.verdicts.made_spaces import (
    BEST,
    OFTEN_AT_CHANCE,
    POOR,
    alike,
    learns,
    pair,
    space,
)
from tuner.bench.verdicts.shapes import At, Mixed, Normal
from tuner.bench.verdicts.situation import NARROW, NEW, NEW_TPE, OLD, OLD_TPE, Situation
from tuner.bench.verdicts.space import KnownSpace

MANY_ARMS = (
    Situation(
        name="arms-3", words="three arms, all the same", spaces=alike(space(), "other"), n=100, k=5
    ),
    Situation(
        name="arms-6",
        words="six arms, all the same, 40% of the settings at chance",
        spaces=alike(space(OFTEN_AT_CHANCE), "other", "third", "fourth", "fifth"),
        n=40,
        k=2,
    ),
    Situation(
        name="arms-whole",
        words="every control and the repeated searches, all the same",
        spaces={
            **alike(space(), NARROW, "exact"),
            "defaults": KnownSpace(At(0.95), defaults=True, n=20),
            NEW_TPE: learns(),
            OLD_TPE: learns(),
        },
        n=60,
        k=3,
    ),
    Situation(
        name="arms-apart-then-alike",
        words="new and old differ, all that is asked after the verdict is alike",
        spaces={
            NEW: space(Mixed(0.3, At(0.98), At(0.95)), sd=0.001),
            OLD: space(Mixed(0.3, At(0.975), At(0.95)), sd=0.001),
            NEW_TPE: learns(),
            OLD_TPE: learns(),
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
        spaces=pair(space(BEST), space(POOR), space(POOR)),
        n=200,
        k=10,
    ),
    Situation(
        name="control-is-new",
        words="the new space is better; narrow ranges do as well as it",
        spaces=pair(space(BEST), space(POOR), space(BEST)),
        n=200,
        k=10,
    ),
    Situation(
        name="control-half-way",
        words="narrow ranges leave just half of the difference",
        spaces=pair(
            space(Normal(0.97, 0.01)), space(Normal(0.93, 0.01)), space(Normal(0.95, 0.01))
        ),
        n=200,
        k=10,
    ),
    Situation(
        name="control-small",
        words="the control has ten trials, and is the old space",
        spaces=pair(space(BEST), space(POOR), replace(space(POOR), n=10)),
        n=200,
        k=10,
    ),
    Situation(
        name="control-of-equals",
        words="new and old the same, narrow ranges a point worse",
        spaces=pair(
            space(At(0.95), sd=0.001), space(At(0.95), sd=0.001), space(At(0.94), sd=0.001)
        ),
        n=100,
        k=5,
    ),
    Situation(
        name="control-of-equals-is-equal",
        words="new, old and narrow ranges the same",
        spaces=alike(space(At(0.95), sd=0.001), NARROW),
        n=100,
        k=5,
    ),
)

LEARNING = (
    Situation(
        name="stuck-10",
        words="repeated searches by a learning sampler, alike, one in ten gets stuck",
        spaces=alike(learns(stuck=0.1)),
        n=1,
        k=1,
        length=200,
    ),
    Situation(
        name="stuck-20", words="the same, one in five", spaces=alike(learns(stuck=0.2)), n=1, k=1
    ),
    Situation(
        name="stuck-20-new",
        words="only one in five of the new space's searches gets stuck",
        spaces=pair(learns(stuck=0.2), learns()),
        n=1,
        k=1,
    ),
    Situation(
        name="learning-second",
        words="random search of 40% at chance, and repeated searches of which a fifth gets stuck",
        spaces={
            **alike(space(OFTEN_AT_CHANCE)),
            NEW_TPE: learns(stuck=0.2),
            OLD_TPE: learns(stuck=0.2),
        },
        n=100,
        k=5,
    ),
)

LOOKS = (
    Situation(
        name="watched-20-pairs",
        words="both the same, 40% at chance, looked at after every pair",
        spaces=alike(space(OFTEN_AT_CHANCE)),
        n=40,
        k=2,
        looks="after every pair",
        effort=0.4,
    ),
    Situation(
        name="watched-50-pairs",
        words="all settings worth the same, the new one's runs noisier, looked at likewise",
        spaces=pair(space(At(0.95), sd=0.01), space(At(0.95), sd=0.005)),
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
        spaces=alike(space(OFTEN_AT_CHANCE)),
        n=200,
        k=2,
        looks="while trials run",
        effort=0.4,
    ),
)
