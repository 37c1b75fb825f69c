"""The rooms and their order: who may import whom, how large a folder may grow, what is unused."""

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.source import FOLDERS, ROOT, defined, graph, imported, modules

SERVICES = {"optuna", "sqlalchemy", "alembic", "pydantic", "fastapi", "starlette", "uvicorn"}
DRAWING = {"matplotlib"}
PRINTING = {"rich", "jinja2"}
TORCH = {"torch", "torchvision"}

PACKAGES = (
    ("tuner.api",),
    ("tuner.cli",),
    ("tuner.bench", "tuner.claims", "tuner.doctor", "tuner.export"),
    ("tuner.fleet",),
    ("tuner.search",),
    ("tuner.compare", "tuner.translation"),
    ("tuner.train",),
    ("tuner.graphs",),
    ("tuner.bnn",),
    ("tuner.optim",),
    ("tuner.kernels",),
    ("tuner.named", "tuner.measured", "tuner.kept"),
    ("tuner.trial", "tuner.workload"),
    ("tuner.rules", "tuner.signals", "tuner.guard", "tuner.machine", "tuner.config", "tuner.logs"),
    ("tuner.errors", "tuner.wording"),
)
"""From the top down: each knows those below it, and none beside or above it."""

COMPARE = (
    ("report", "scores"),
    ("figures",),
    ("suite",),
    ("comparison",),
    ("verdict_text", "sentences", "notes", "evidence"),
    ("verdict", "summary"),
    ("contrast", "words"),
    ("protocol", "arm"),
    ("trial_filters", "foresight"),
    ("statistics",),
)
SEARCH = (
    ("work", "foreign"),
    ("watch", "results", "objective", "fleets"),
    ("queue",),
    ("database",),
    ("declared",),
)
ORDERS = {
    "tuner": PACKAGES,
    "tuner.compare": tuple(tuple(f"tuner.compare.{r}" for r in row) for row in COMPARE),
    "tuner.search": tuple(tuple(f"tuner.search.{r}" for r in row) for row in SEARCH),
}

NOT = {
    "tuner.workload": TORCH | SERVICES,
    "tuner.kernels": SERVICES,
    "tuner.optim": SERVICES,
    "tuner.bnn": SERVICES,
    "tuner.train": SERVICES,
    "tuner.search": TORCH | {"tuner.optim", "tuner.bnn", "tuner.train"},
    "tuner.search.results": {"tuner.search.queue"},
    "tuner.search.foreign": {"tuner.search.queue", "tuner.search.watch"},
    "tuner.compare": TORCH | SERVICES | {"tuner.optim", "tuner.bnn", "tuner.train"},
    "tuner.fleet": TORCH,
    "tuner.api": TORCH | {"ray", "tuner.fleet"},
}
"""What a room may not import, beside what lies above it."""

EXEMPT = {"tuner.search.work.torch_trainer", "tuner.search.objective.trial"}
"""The modules that see both sides, the services and training, or the optimizers."""

FIRST_PARTY = {
    "tuner.compare.statistics": {"numpy", "scipy", "opda", "tuner.errors", "tuner.wording"}
}
"""All that a room imports beside the standard library and itself."""

MOST_LINES = 400
MOST_FILES = 15
MOST_LEVELS = 10


def within(name: str, room: str) -> bool:
    return f"{name}.".startswith(f"{room}.")


def files(room: str) -> Iterator[tuple[str, Path]]:
    found = [(name, path) for name, path in modules().items() if within(name, room)]
    assert found, f"there is no room {room}"
    yield from found


@pytest.mark.parametrize("package", ORDERS)
def test_rooms_know_only_those_below_them(package):
    order = ORDERS[package]
    level = {room: number for number, row in enumerate(order) for room in row}

    def room_of(name: str) -> str | None:
        return max((room for room in level if within(name, room)), key=len, default=None)

    for name, targets in graph().items():
        ours = room_of(name)
        for target in targets:
            theirs = room_of(target)
            if ours is not None and theirs is not None and ours != theirs:
                assert level[ours] < level[theirs], f"{name} imports {target}"


@pytest.mark.parametrize("package", ORDERS)
def test_every_room_has_its_place_in_the_order(package):
    placed = {room for row in ORDERS[package] for room in row}
    depth = package.count(".") + 2
    rooms = {
        ".".join(name.split(".")[:depth])
        for name, _ in files(package)
        if name not in (package, "tuner.__main__")
    }
    assert rooms == placed


def test_no_circle_of_imports():
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None


def test_compare_has_few_levels_of_imports():
    @cache
    def level(name: str) -> int:
        below = [target for target in graph()[name] if within(target, "tuner.compare")]
        return 1 + max((level(target) for target in below if target != "tuner.compare"), default=0)

    for name, _ in files("tuner.compare"):
        assert name == "tuner.compare" or level(name) <= MOST_LEVELS, name


@pytest.mark.parametrize("room", NOT)
def test_a_room_imports_only_what_it_may(room):
    for name, path in files(room):
        if name not in EXEMPT:
            for target in imported(path):
                assert not [bad for bad in NOT[room] if within(target, bad)], (name, target)


@pytest.mark.parametrize("room", FIRST_PARTY)
def test_a_room_imports_nothing_beside(room):
    for name, path in files(room):
        for target in imported(path):
            known = FIRST_PARTY[room] | {room}
            standard = target.partition(".")[0] in sys.stdlib_module_names
            assert standard or any(within(target, each) for each in known), (name, target)


def test_figures_draw_and_reports_print_and_nothing_below_does():
    for name, path in files("tuner.compare"):
        libraries = {target.partition(".")[0] for target in imported(path)}
        if not within(name, "tuner.compare.report"):
            assert not libraries & PRINTING, name
            if not within(name, "tuner.compare.figures"):
                assert not libraries & DRAWING, name


def test_no_file_is_longer_than_400_lines():
    for room in ("tuner", "api", "tests", "examples"):
        for path in (ROOT / room).rglob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= MOST_LINES, f"{path.relative_to(ROOT)} has {lines} lines"


def test_no_folder_has_more_than_15_files():
    for folder, n_files in Counter(path.parent for path in modules().values()).items():
        assert n_files <= MOST_FILES, f"{folder.relative_to(ROOT)} has {n_files} files"


def test_tests_lie_as_the_rooms_do():
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "tests"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout.split("\n")
    folders = {Path(name).parent.relative_to("tests") for name in tracked if "/test_" in name}
    rooms = {path.parent for path in modules().values()}
    of_no_room = {Path("deploy")}
    for folder in folders - of_no_room - {Path(".")}:
        package = FOLDERS["tuner"] / folder
        assert package in rooms or ROOT / folder in rooms, f"tests/{folder} is the test of no room"


NAMED = re.compile(r"``(tuner(?:\.\w+)+|[a-z_]+\.[A-Za-z_]\w*)(?<!\.py)(?<!\.db)``")


def test_names_in_docstrings_and_comments_exist():
    by_stem: dict[str, list[Path]] = {}
    for path in modules().values():
        stem = path.parent.name if path.name == "__init__.py" else path.stem
        by_stem.setdefault(stem, []).append(path)
    for name, path in modules().items():
        for dotted in NAMED.findall(path.read_text(encoding="utf-8")):
            first, _, rest = dotted.partition(".")
            if first == "tuner":
                assert resolves(dotted), f"{name}: {dotted}"
            elif first in by_stem:
                assert any(rest in names_in(home) for home in by_stem[first]), f"{name}: {dotted}"


def names_in(path: Path) -> set[str]:
    """What a module, or a class of it, defines; a package's modules are among its names."""
    found = set(defined(path))
    for node in defined(path).values():
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.FunctionDef):
                    found.add(part.name)
                elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                    found.add(part.target.id)
    if path.name == "__init__.py":
        found |= {beside.stem for beside in path.parent.iterdir()}
    return found


def resolves(dotted: str) -> bool:
    if dotted in modules():
        return True
    module, _, attribute = dotted.rpartition(".")
    if module in modules():
        return hasattr(importlib.import_module(module), attribute)
    owner, _, owned = module.rpartition(".")
    return owner in modules() and hasattr(
        getattr(importlib.import_module(owner), owned, None), attribute
    )


def test_no_public_name_is_used_by_tests_alone():
    places = [*FOLDERS.values(), ROOT / "examples", ROOT / "docs", ROOT / "README.md"]
    texts = [
        path.read_text(encoding="utf-8")
        for place in places
        for path in ([place] if place.is_file() else place.rglob("*"))
        if path.suffix in (".py", ".j2", ".md") and "__pycache__" not in path.parts
    ]
    words = Counter(re.findall(r"[A-Za-z_]\w*", "\n".join(texts)))
    for name, path in modules().items():
        if path.name == "__init__.py" or "migrations" in path.parts:
            continue
        for public, node in defined(path).items():
            registered = bool(getattr(node, "decorator_list", []))  # a route, a command, a model
            if not public.startswith("_") and not registered:
                assert words[public] > 1, f"{name}.{public} is used by tests alone, or by nobody"
