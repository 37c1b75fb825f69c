"""The source as data: its modules, what they import, what they define."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"tuner": ROOT / "tuner", "tuner.api": ROOT / "api"}
"""Package -> its folder; the second is reached through a link in the first."""


@cache
def modules() -> dict[str, Path]:
    """Name of each module of the package -> its file."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            place = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *place)).removesuffix(".__init__")
            if package == "tuner.api" or place[0] != "api":
                found[name] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements within, the branches of others too: an import can be nothing else."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        for each in getattr(node, part, ()):
            yield each
            yield from statements(each)


@cache
def imported(path: Path) -> frozenset[str]:
    """Dotted names that a file imports anywhere, those for type checkers and in functions too."""
    names: set[str] = set()
    for node in statements(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


@cache
def graph() -> dict[str, frozenset[str]]:
    """Module -> the modules of the package that it imports."""
    known = modules()

    def module_of(name: str) -> str | None:
        while name and name not in known:
            name = name.rpartition(".")[0]
        return name or None

    return {
        name: frozenset(
            found
            for each in imported(path)
            if (found := module_of(each)) is not None and found != name
        )
        for name, path in known.items()
    }


def defined(path: Path) -> dict[str, ast.stmt]:
    """Top-level name -> where it is defined."""
    found: dict[str, ast.stmt] = {}
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {t.id: node for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found
