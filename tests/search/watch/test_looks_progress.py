"""Which looks a comparison has behind it, what they led to, and what the next one waits for."""

import pytest
from comparisons import comparison

from tuner.search.declared.spec import ComparisonSpec
from tuner.search.watch.looks_progress import LooksProgress, looks_progress

VERDICT = {"primary": ["new", "old"], "k": 2, "looks": [0.5, 0.75]}
GOES_ON = "look 1 of 2, after 10 of 20 searches: the verdict is not settled, so the searches go on"


def looked_at(**verdict: str) -> ComparisonSpec:
    """Twenty searches of two trials in each primary arm, and an arm beside that has ten."""
    arms = [
        {"name": "old", "space": "magnitude"},
        {"name": "new", "space": "filter"},
        {"name": "other", "space": "filter", "n_trials": 20},
    ]
    return comparison(arms=arms, n_trials=40, verdict=VERDICT | verdict)


def at(spec: ComparisonSpec, budgets: dict[str, int], **ended: int) -> LooksProgress:
    """Where it is once so many settings selected were trained afresh in each arm."""
    found = looks_progress(
        spec, budgets, {f"small/{arm}/selected": number for arm, number in ended.items()}
    )
    assert found is not None
    return found


def test_without_looks_there_is_nothing_to_say():
    spec = comparison()
    assert looks_progress(spec, spec.budgets(), {}) is None


def test_a_look_that_does_not_settle_leads_to_the_next_one():
    spec = looked_at(stop="when settled")
    before = at(spec, spec.budgets(10), old=10, new=7)
    assert before.declared == (
        "the verdict is looked at after 10, 15 of 20 searches of each arm; the searches end at "
        "the one that settles it"
    )
    assert (before.outcomes, before.ended) == ((), 7)
    due = at(spec, spec.budgets(10), old=10, new=10)
    assert due.taken == 0 and due.waiting is not None and ": is due; tuner run" in due.waiting
    after = at(spec, spec.budgets(15), old=10, new=10)
    assert after.outcomes == (GOES_ON,)
    assert after.waiting == (
        "look 2 of 2, after 15 of 20 searches: waits for what these searches of each arm select "
        "to be trained afresh, 10 so far"
    )
    last = at(spec, spec.budgets(), old=15, new=15)
    assert last.outcomes == (GOES_ON, GOES_ON.replace("1 of 2, after 10", "2 of 2, after 15"))
    assert last.waiting is None and not last.settled


@pytest.mark.parametrize(("place", "number"), [(1, 10), (2, 15)])
def test_the_look_that_settles_ends_the_searches(place: int, number: int):
    spec = looked_at(stop="when settled")
    incumbents = {spec.retraining(arm).study_name: 2 for arm in spec.judged}
    ended = at(spec, spec.budgets(number) | incumbents, old=number, new=number)
    assert ended.settled and ended.waiting is None and ended.taken == place
    assert ended.outcomes[-1] == (
        f"look {place} of 2, after {number} of 20 searches: the verdict is settled, so the "
        "searches end early, as declared"
    )
    assert ended.outcomes[:-1] == (GOES_ON,) * (place - 1)


def test_without_a_stop_a_look_is_taken_once_the_primary_arms_have_the_runs():
    spec = looked_at()
    assert at(spec, spec.budgets(), old=20, new=9, other=10).taken == 0
    taken = at(spec, spec.budgets(), old=20, new=10)
    assert taken.declared == "the verdict is looked at after 10, 15 of 20 searches of each arm"
    assert taken.outcomes == (
        "look 1 of 2, after 10 of 20 searches: taken; the searches go on whatever it says",
    )
    assert taken.waiting is not None and taken.waiting.startswith("look 2 of 2")
    assert at(spec, spec.budgets(), old=20, new=20).waiting is None
