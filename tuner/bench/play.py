"""The sides of a match take turns: one slice each, then again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from tuner.bench.child import Child, Slice
from tuner.bench.match import Match, Round


@contextmanager
def started(match: Match) -> Iterator[Callable[[int], Round]]:
    """Starts the match's processes, and ends them when it is left.

    They are started once and wait between their slices, so that neither imports nor warming up
    are measured and no two sides work at the same time.

    Args:
        match: Who plays at what.

    Yields:
        A function that plays a round, given its number from 0.

    Raises:
        TunerError: If a process fails, now or in a round; says how.
    """
    with ExitStack() as stack:
        teams: dict[str, list[Child]] = {}
        for side in match.sides:
            teams[side.name] = []
            for job in side.jobs:
                child = Child(f"{match.contest}, {side.name}", job, side.variables)
                teams[side.name].append(stack.enter_context(closing(child)))
        everyone = [child for team in teams.values() for child in team]
        _all("start", everyone)
        for child in everyone:
            _all("gauge", [child])

        def play(number: int) -> Round:
            backwards = number % 2 == 1  # so that a machine that slows down favours nobody
            turns = reversed(teams) if backwards else iter(teams)
            values = {name: match.value(_turn(teams[name], number)) for name in turns}
            best = {
                name: max(values[side] for side in sides) for name, sides in match.best_of.items()
            }
            return {**values, **best}

        yield play


def _turn(team: Sequence[Child], number: int) -> list[Slice]:
    """One slice of every process of a side."""
    for child in team:
        _all("open", [child], number)
    return [done for done in _all("run", team, number) if done is not None]


def _all(order: str, children: Sequence[Child], number: int = 0) -> list[Slice | None]:
    """Give an order to processes at once and wait for all of them."""
    for child in children:
        child.tell(order, number)
    return [child.answer() for child in children]
