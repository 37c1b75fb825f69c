import math

import pytest

from tuner.errors import InvalidInput
from tuner.fleet.order import Order, Shape, check_room
from tuner.search.fleets.wish import Wish

GIB = 2**30
NODE = {"CPU": 8.0, "GPU": 2.0, "memory": 16.0 * GIB}


@pytest.mark.parametrize(
    ("shape", "room"),
    [
        (Shape(), 8),
        (Shape(cpus=0.1), 80),
        (Shape(cpus=3), 2),
        (Shape(gpus=1), 2),
        (Shape(gpus=0.6), 2),  # a worker has parts of one GPU, never of two
        (Shape(gpus=1 / 3, cpus=0.5), 6),
        (Shape(gpus=0.1, cpus=1), 8),
        (Shape(memory=5), 3),
        (Shape(gpus=0.5, cpus=1, memory=10), 1),
    ],
)
def test_a_node_has_room_for_whole_workers(shape: Shape, room: int):
    assert shape.room(NODE) == room
    assert shape.room({}) == 0


def test_more_workers_than_fit_are_refused_with_what_there_is():
    check_room(Shape(gpus=0.5), 8, [NODE, NODE])
    with pytest.raises(InvalidInput) as refused:
        check_room(Shape(gpus=0.5), 9, [NODE, NODE])
    words = str(refused.value)
    assert "9 workers of 1 CPU, 0.5 GPUs each do not fit" in words
    assert "2 nodes with 16 CPUs, 4 GPUs, 32.0 GiB in all, which is room for 8" in words
    with pytest.raises(InvalidInput, match="0 nodes with 0 CPUs, 0 GPUs in all"):
        check_room(Shape(), 1, [])


@pytest.mark.parametrize("gpus", [-0.1, 1.5, math.nan, math.inf])
def test_a_worker_has_a_part_of_one_gpu(gpus: float):
    with pytest.raises(InvalidInput, match="from 0 to 1, got"):
        Shape(gpus=gpus)


@pytest.mark.parametrize("size", [0.0, -1.0, math.nan, math.inf])
def test_sizes_are_positive(size: float):
    with pytest.raises(InvalidInput, match="cpus: must be above 0"):
        Shape(cpus=size)
    with pytest.raises(InvalidInput, match="memory: must be above 0"):
        Shape(memory=size)
    with pytest.raises(InvalidInput, match="spread or packed, got 'wide'"):
        Shape(spread="wide")  # type: ignore[arg-type]


@pytest.mark.parametrize("numbers", [(2, 3, 4), (5, 1, 4), (-1, -1, 4), (0, 0, 0), (1, 0, 10**6)])
def test_workers_lie_between_the_fewest_and_the_most(numbers: tuple[int, int, int]):
    with pytest.raises(InvalidInput, match="0 <= --min <= --workers <= --max"):
        Wish(*numbers)
    assert Wish(2, 0, 4).follows and not Wish(2, 2, 2).follows


def test_seconds_and_retries_are_not_negative():
    wish = Wish(1, 1, 1)
    with pytest.raises(InvalidInput, match="idle seconds must be at least 0, got nan"):
        Wish(1, 1, 1, math.nan)
    with pytest.raises(InvalidInput, match="grace must be at least 0 seconds, got -1"):
        Order("sqlite:///a.db", wish, grace_seconds=-1)
    with pytest.raises(InvalidInput, match="retries must be at least 0, got -1"):
        Order("sqlite:///a.db", wish, retries=-1)
