"""The picture of the rooms shows the code as it is."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests import architecture
from tests.source import ROOT, graph, modules


def drawn(path: Path) -> tuple[set[str], set[tuple[str, str]]]:
    """The rooms and the arrows of a picture, by the ids of its parts."""
    ids = {part.get("id", "") for part in ElementTree.parse(path).iter()}
    rooms = {name.removeprefix("room:") for name in ids if name.startswith("room:")}
    arrows = {tuple(name.split(":")[1:]) for name in ids if name.startswith("import:")}
    return rooms, arrows


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("architecture") / "architecture.svg"
    command = [sys.executable, "-m", "tests.architecture", str(path)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "1"}, check=True)
    return path


@pytest.mark.slow
def test_every_module_is_in_one_box_and_every_box_and_arrow_is_drawn(picture):
    rooms, arrows = drawn(picture)
    inside = [module for box in architecture.boxes() for module in box.modules]
    assert len(inside) == len(set(inside))
    empty = set(modules()) - set(inside)
    assert all(modules()[name].name == "__init__.py" and not graph()[name] for name in empty)
    assert rooms == {box.name for box in architecture.boxes()}
    assert arrows == set(architecture.arrows())


def test_every_arrow_is_an_import_and_points_down():
    arrows = architecture.arrows()
    inside = {box.name: box.modules for box in architecture.boxes()}
    assert arrows
    for upper, lower in arrows:
        assert any(graph()[module] & inside[lower] for module in inside[upper]), (upper, lower)
        assert architecture.level(upper) > architecture.level(lower)


@pytest.mark.slow
def test_every_import_between_boxes_is_an_arrow_or_a_way_of_arrows(picture):
    _, arrows = drawn(picture)

    def reached(name: str) -> set[str]:
        lower = {b for a, b in arrows if a == name}
        return lower.union(*map(reached, lower))

    for box in architecture.boxes():
        assert architecture.imports()[box.name] <= reached(box.name), box.name


@pytest.mark.slow
def test_no_arrow_runs_through_a_box():
    for upper, lower, way in architecture.ways():
        assert not architecture.hits(way), (upper, lower)


def test_no_box_lies_on_another():
    places = [architecture.middle(box.name) for box in architecture.boxes()]
    for i, (x, y) in enumerate(places):
        for other_x, other_y in places[:i]:
            assert abs(x - other_x) >= architecture.WIDTH or abs(y - other_y) >= 0.8


def test_the_committed_picture_is_of_this_code():
    rooms = {box.name for box in architecture.boxes()}
    of_this_code = rooms, set(architecture.arrows())
    assert drawn(architecture.PICTURE) == of_this_code, "run: python -m tests.architecture"


@pytest.mark.slow
def test_the_same_code_makes_the_same_bytes(picture, tmp_path):
    architecture.write(tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == picture.read_bytes()
