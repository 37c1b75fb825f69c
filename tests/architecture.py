"""Draws the rooms of the package and who imports whom, read off the source.

    python -m tests.architecture    # writes docs/architecture.svg

A room is a folder. The server's and the command's folders are one room each, and so are the
database with its migrations, the studies of others with their storages, who watches with the
notices, the figures with those of single trials and of suites, as are reports and statistics. A
folder's own files stand in two boxes where a room of the folder lies between them. An import that
a longer way of imports implies is left out.
"""

import ast
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Line

from tests.source import ROOT, graph, modules, tree

PICTURE = ROOT / "docs" / "architecture.svg"
WHOLE = {"tuner.api": "tuner.api", "tuner.cli": "tuner.cli", "tuner.__main__": "tuner.cli"}
WHOLE["tuner.bnn.data"] = "tuner.bnn"
WHOLE["tuner.optim.designed"] = "tuner.optim"
WHOLE["tuner.train.recipe"] = "tuner.train"
WHOLE["tuner.train.signs"] = "tuner.train"
WHOLE["tuner.kept"] = "tuner"
WHOLE["tuner.workload"] = "tuner"
WHOLE["tuner.search.database"] = "tuner.search.database"
WHOLE["tuner.search.foreign"] = "tuner.search.foreign"
WHOLE["tuner.search.objective"] = "tuner.search.work"
WHOLE["tuner.search.watch"] = "tuner.search.watch"
WHOLE["tuner.compare.figures"] = "tuner.compare.figures"
WHOLE["tuner.compare.report"] = "tuner.compare.report"
WHOLE["tuner.compare.statistics"] = "tuner.compare.statistics"
WHOLE["tuner.optim.family"] = "tuner.optim"
WHOLE["tuner.bench.verdicts"] = "tuner.bench"
WHOLE["tuner.bench.fleet"] = "tuner.bench"
WHOLE["tuner.export"] = "tuner.export"
"""What is not looked into -> the room that it belongs to."""

COLUMNS = (
    *(("tuner.kernels", 0), ("tuner.optim", 0), ("tuner.bnn", 0), ("tuner.train", 0)),
    *(("tuner.optim.equivalence", 1), ("tuner.translation", 0), ("tuner.graphs", 7)),
    *(
        *(("tuner.search", 2), ("tuner.search.results", 3), ("tuner.search.foreign", 3)),
        ("tuner.search.fleets", 1),
        *(("tuner.compare", 4), ("tuner.compare.suite", 5)),
    ),
    *(("tuner.cli", 1.5), ("tuner.api", 2.5), ("tuner.claims", 1), ("tuner.bench", 2)),
    *(("tuner.fleet", 6), ("tuner.export", 7)),
)
"""Room, which may have rooms in it -> where it stands from left to right."""

BASE = "tuner"
"""What everything stands on: it is drawn as wide as all."""

FRAMES = ("tuner.search", "tuner.compare")
COLOURS = {"tuner.search": "#dbe9f6", "tuner.compare": "#e3f1dd", "tuner.cli": "#fbe8d3"}
COLOURS |= {"tuner.api": "#fbe8d3", "tuner.claims": "#fdf5d8", "tuner.bench": "#fdf5d8"}
COLOURS["tuner.export"] = "#fdf5d8"
OTHERS, INK, LINE = "#efe6f5", "#222222", "#5a6570"
WIDTH, HEIGHT = 0.84, 0.6

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """One room, or some of a folder's own files.

    Args:
        name: The folder; of its smaller parts the first file.
        modules: What is in it.
    """

    name: str
    modules: frozenset[str]

    @property
    def says(self) -> str:
        """The first sentence of the room; the files' names where there are only files."""
        inside = sorted(name for name in self.modules if name != self.name)
        rooms = any(f"{box.name}.".startswith(f"{self.name}.") for box in boxes() if box != self)
        if rooms and self.name != "tuner.optim":
            return ", ".join(name.rpartition(".")[2] for name in inside if name in modules())
        text = ast.get_docstring(tree(modules()[self.name])) or ""
        text = text.replace("``", "").partition("\n")[0].partition(". ")[0].rstrip(".")
        folders = [
            f"{name.removeprefix(self.name)[1:]}/"
            for name in inside
            if modules()[name].name == "__init__.py" and name.count(".") == 2
        ]
        return ": ".join(filter(None, (text, ", ".join(folders))))


def room(module: str) -> str:
    """The room of a module."""
    for start, whole in WHOLE.items():
        if f"{module}.".startswith(f"{start}."):
            return whole
    return module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]


@cache
def reached(module: str) -> frozenset[str]:
    """All that a module imports, and all that this imports."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        new = graph()[waiting.pop()] - seen
        seen |= new
        waiting += new
    return frozenset(seen)


@cache
def boxes() -> tuple[Box, ...]:
    """Every module in one box, but packages that hold nothing and import nothing."""
    parts: dict[tuple[str, frozenset[str]], set[str]] = {}
    rooms = {room(module) for module in modules()}
    for module in modules():
        home = room(module)
        inner = {each for each in rooms if each.startswith(f"{home}.")}
        below = frozenset(room(each) for each in reached(module)) & inner
        parts.setdefault((home, below), set()).add(module)
    made = []
    for (home, _), inside in parts.items():
        files = inside - {home}
        most = max(len(others) for (other, _), others in parts.items() if other == home)
        name = home if len(inside) == most else min(files or {home})
        if files or graph()[home] or not any(each.startswith(f"{home}.") for each in rooms):
            made.append(Box(name, frozenset(inside)))
    assert len({box.name for box in made}) == len(made), "two boxes of one name"
    return tuple(sorted(made, key=lambda box: box.name))


@cache
def imports() -> dict[str, frozenset[str]]:
    """Box -> the boxes that it imports."""
    home = {module: box.name for box in boxes() for module in box.modules}
    return {
        box.name: frozenset(
            home[each] for module in box.modules for each in graph()[module] if each in home
        )
        - {box.name}
        for box in boxes()
    }


@cache
def below(name: str) -> frozenset[str]:
    """All boxes under one, at any distance; a circle of rooms is an error of recursion."""
    return imports()[name].union(*(below(each) for each in imports()[name]))


def arrows() -> list[tuple[str, str]]:
    """Who imports whom, without what a longer way implies."""
    return [
        (name, each)
        for name in sorted(imports())
        for each in sorted(imports()[name])
        if not any(each in below(other) for other in imports()[name])
    ]


@cache
def level(name: str) -> int:
    """How high a box stands: right under the lowest of those that import it."""
    above = [level(other) for other in imports() if name in imports()[other]]
    return min(above) - 1 if above else max(map(_depth, imports()))


@cache
def _depth(name: str) -> int:
    return 1 + max((_depth(each) for each in imports()[name]), default=-1)


def column(name: str) -> float:
    """Where a box stands from left to right; rooms that are new stand at the right end."""
    if name == BASE:
        return 2.0
    named = [(len(start), x) for start, x in COLUMNS if f"{name}.".startswith(f"{start}.")]
    return max(named)[1] if named else 5.0


def middle(name: str) -> Point:
    """The middle of a box; the lowest is as wide as all."""
    return column(name), level(name) + (0.12 if name == BASE else 0.0)


def half(name: str) -> Point:
    """Half its width and half its height."""
    return (2.0 + WIDTH / 2, 0.18) if name == BASE else (WIDTH / 2, HEIGHT / 2)


def ways() -> Iterator[tuple[str, str, list[Point]]]:
    """Each arrow as a line that runs through no box."""
    pairs = arrows()
    for upper, lower in pairs:
        leaves = sorted((b for a, b in pairs if a == upper), key=lambda b: middle(b)[0])
        comes = sorted((a for a, b in pairs if b == lower), key=lambda a: middle(a)[0])
        start = _port(upper, leaves.index(lower), len(leaves), -1)
        end = _port(lower, comes.index(upper), len(comes), 1)
        if lower == BASE or column(lower) == column(upper):
            end = (start[0], end[1])
        yield upper, lower, _around(start, end)


def _port(name: str, place: int, places: int, side: int) -> Point:
    (x, y), (wide, high) = middle(name), half(name)
    return x + 1.6 * wide * ((place + 1) / (places + 1) - 0.5), y + side * high


def _around(start: Point, end: Point) -> list[Point]:
    """The shortest of: straight, or down a gap between two columns."""
    gaps = [x + 0.5 for x in range(-1, 7)]
    tries = [[start, end]]
    for x in gaps:
        first, last = start[1] - 0.14, end[1] + 0.14
        tries.append([start, (x, first), (x, last), end])
    return min(tries, key=lambda way: (10 * hits(way), _length(way)))


def hits(way: list[Point]) -> int:
    """Boxes that a line runs through."""
    points = list(Line(way).interpolated(60).vertices[1:-1])
    return sum(
        any(abs(px - x) < wide + 0.02 and abs(py - y) < high - 0.001 for px, py in points)
        for (x, y), (wide, high) in ((middle(box.name), half(box.name)) for box in boxes())
    )


def _length(way: list[Point]) -> float:
    return sum(((a - c) ** 2 + (b - d) ** 2) ** 0.5 for (a, b), (c, d) in pairwise(way))


def draw() -> Figure:
    """The picture; boxes have the ids ``room:NAME``, arrows ``import:UPPER:LOWER``."""
    figure = Figure(figsize=(17.2, 9.6))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(-0.5, max(4.5, *(column(box.name) + 0.5 for box in boxes())))
    axes.set_ylim(-0.2, max(level(box.name) for box in boxes()) + 0.45)
    for frame in FRAMES:
        _frame(axes, [box.name for box in boxes() if box.name.startswith(frame)])
    for upper, lower, way in ways():
        arrow = FancyArrowPatch(
            path=Line(way),
            arrowstyle="-|>",
            mutation_scale=11,
            color=LINE,
            linewidth=1.3,
            joinstyle="round",
            zorder=2,
        )
        arrow.set_gid(f"import:{upper}:{lower}")
        axes.add_patch(arrow)
    for box in boxes():
        _box(axes, box)
    return figure


def _box(axes: Axes, box: Box) -> None:
    (x, y), (wide, high) = middle(box.name), half(box.name)
    colours = [c for start, c in COLOURS.items() if box.name.startswith(start)]
    colour = colours[0] if colours else "#eeeeee" if box.name == BASE else OTHERS
    patch = FancyBboxPatch(
        (x - wide, y - high),
        2 * wide,
        2 * high,
        boxstyle="round,pad=0,rounding_size=0.05",
        facecolor=colour,
        edgecolor=LINE,
        linewidth=1.0,
        zorder=3,
    )
    patch.set_gid(f"room:{box.name}")
    axes.add_patch(patch)
    lines = textwrap.wrap(box.says, 150 if box.name == BASE else 37)
    title = box.name.removeprefix("tuner.")
    style: dict[str, Any] = {"ha": "center", "va": "top", "color": INK, "zorder": 4}
    axes.text(x, y + high - 0.05, title, weight="bold", size=10, **style)
    axes.text(x, y + high - 0.22, "\n".join(lines), size=7.3, linespacing=1.15, **style)


def _frame(axes: Axes, inside: Iterable[str]) -> None:
    places = [middle(each) for each in inside]
    left, right = (f(x for x, _ in places) for f in (min, max))
    low, high = (f(y for _, y in places) for f in (min, max))
    axes.add_patch(
        FancyBboxPatch(
            (left - 0.47, low - 0.37),
            right - left + 0.94,
            high - low + 0.74,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor="none",
            edgecolor=LINE,
            linestyle=(0, (4, 3)),
            linewidth=0.9,
            zorder=1,
        )
    )


def write(path: Path) -> None:
    """The same source makes the same bytes on one version of matplotlib."""
    with rc_context({"svg.hashsalt": "tuner architecture", "svg.fonttype": "none"}):
        draw().savefig(
            path, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
