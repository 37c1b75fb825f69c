"""How far a comparison is through its declared looks, and what those taken led to."""

from collections.abc import Mapping
from dataclasses import dataclass

from tuner.search.declared.spec import ComparisonSpec


@dataclass(frozen=True)
class LooksProgress:
    """How far a comparison is through its looks.

    Args:
        after: Searches of each arm after which a look is declared, rising.
        planned: Searches of each arm in all.
        ended: Searches of each primary arm of which the setting selected was trained afresh.
        taken: How many of the looks were taken.
        stops: Whether the searches end at the look that settles the verdict.
        settled: Whether they ended at the last look taken.
    """

    after: tuple[int, ...]
    planned: int
    ended: int
    taken: int
    stops: bool
    settled: bool

    @property
    def declared(self) -> str:
        """Which looks there are, and whether the searches may end there."""
        numbers = ", ".join(map(str, self.after))
        stop = "; the searches end at the one that settles it" if self.stops else ""
        of = f"{numbers} of {self.planned} searches of each arm"
        return f"the verdict is looked at after {of}{stop}"

    @property
    def outcomes(self) -> tuple[str, ...]:
        """What each look taken led to."""
        return tuple(f"{self._name(place)}: {self._outcome(place)}" for place in range(self.taken))

    @property
    def waiting(self) -> str | None:
        """What the next look waits for; ``None`` if none is to come."""
        if self.settled or self.taken == len(self.after):
            return None
        name = self._name(self.taken)
        if self.ended >= self.after[self.taken]:
            return f"{name}: is due; tuner run, tuner worker and tuner serve take it"
        return (
            f"{name}: waits for what these searches of each arm select to be trained afresh, "
            f"{self.ended} so far"
        )

    def _name(self, place: int) -> str:
        return (
            f"look {place + 1} of {len(self.after)}, after {self.after[place]} of {self.planned} "
            "searches"
        )

    def _outcome(self, place: int) -> str:
        if not self.stops:
            return "taken; the searches go on whatever it says"
        if self.settled and place == self.taken - 1:
            return "the verdict is settled, so the searches end early, as declared"
        return "the verdict is not settled, so the searches go on"


def looks_progress(
    spec: ComparisonSpec, budgets: Mapping[str, int], ended: Mapping[str, int]
) -> LooksProgress | None:
    """How far the comparison is through its looks; ``None`` if none are declared.

    Where the searches may end at a look, the budgets say which were taken: they grow at each.

    Args:
        spec: The comparison.
        budgets: Study name -> its trials now.
        ended: Study name -> how many of them have ended.
    """
    if not spec.looks:
        return None
    names = [
        afresh.study_name
        for arm in spec.arms
        if arm.name in spec.primary and (afresh := spec.selected(arm))
    ]
    done, budget = (min(counts.get(name, 0) for name in names) for counts in (ended, budgets))
    stops, undecided = spec.verdict.stop is not None, spec.undecided(budgets)
    reached = done if not stops else budget - 1 if undecided else budget
    taken = [look for look in spec.looks if look <= reached]
    return LooksProgress(
        after=spec.looks,
        planned=spec.planned,
        ended=done,
        taken=len(taken),
        stops=stops,
        settled=stops and budget in taken,
    )
