"""Who may import whom: the rooms' import directions, read off the syntax trees."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SERVICES = {"optuna", "sqlalchemy", "alembic", "pydantic", "fastapi", "starlette", "uvicorn"}
FRONT = {"tuner.bench", "tuner.cli", "api"}
NOT = {
    "tuner/kernels": SERVICES
    | FRONT
    | {"tuner.optim", "tuner.bnn", "tuner.train", "tuner.search", "tuner.compare"},
    "tuner/optim": SERVICES
    | FRONT
    | {"tuner.bnn", "tuner.train", "tuner.search", "tuner.compare"},
    "tuner/bnn": SERVICES | FRONT | {"tuner.train", "tuner.search", "tuner.compare"},
    "tuner/train": SERVICES | FRONT | {"tuner.search", "tuner.compare"},
    "tuner/search": FRONT | {"torch", "torchvision", "tuner.optim", "tuner.bnn", "tuner.train"},
    "tuner/compare": {"torch", "torchvision", "tuner.optim", "tuner.bnn", "tuner.train"}
    | SERVICES
    | FRONT
    | {"tuner.search"},
    "tuner/bench": {"tuner.cli"},
    "tuner/claims": {"tuner.bench", "tuner.cli", "api"},
    "tuner": {"api"},
    "api": {"torch", "torchvision"},
}
EXEMPT = {"tuner/search/work/torch_trainer.py"}
"""The one module that sees both sides, training and the services."""


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", NOT)
def test_a_room_imports_only_what_it_may(room):
    files = [p for p in (ROOT / room).rglob("*.py") if str(p.relative_to(ROOT)) not in EXEMPT]
    assert files
    for path in files:
        for name in imports(path):
            forbidden = [bad for bad in NOT[room] if f"{name}.".startswith(f"{bad}.")]
            assert not forbidden, f"{path.relative_to(ROOT)} imports {name}"


def test_no_file_is_longer_than_400_lines():
    for room in ("tuner", "api", "tests"):
        for path in (ROOT / room).rglob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= 400, f"{path.relative_to(ROOT)} has {lines} lines"
