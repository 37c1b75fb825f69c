from collections import Counter

import pytest

from tests.fleet.test_seats import seat
from tuner.fleet.cluster import Node
from tuner.fleet.order import Shape, Spread
from tuner.fleet.placing import node_for, to_drain

NODES = [Node(name, name, name, name == "a", {"CPU": 4.0}) for name in "abc"]


def placed(workers: int, shape: Shape, there: dict[str, int]) -> dict[str, int]:
    """How many workers each node has once so many more were placed; some may wait."""
    taken = Counter(there)
    for _ in range(workers):
        taken[node_for(shape, NODES, taken) or "waiting"] += 1
    return dict(taken)


@pytest.mark.parametrize(
    ("spread", "workers", "there", "then"),
    [
        ("spread", 3, {}, {"a": 1, "b": 1, "c": 1}),
        ("spread", 2, {"a": 2, "c": 1}, {"a": 2, "b": 2, "c": 1}),
        ("spread", 7, {"a": 4, "c": 3}, {"a": 4, "b": 4, "c": 4, "waiting": 2}),
        ("packed", 4, {}, {"a": 4}),
        ("packed", 5, {"b": 2}, {"a": 3, "b": 4}),
        ("packed", 6, {"a": 3, "b": 4}, {"a": 4, "b": 4, "c": 4, "waiting": 1}),
    ],
)
def test_workers_go_to_many_nodes_or_to_few(spread: Spread, workers: int, there, then):
    assert placed(workers, Shape(spread=spread), there) == then


def test_what_a_node_has_no_room_for_does_not_go_there():
    assert placed(3, Shape(cpus=3, spread="packed"), {}) == {"a": 1, "b": 1, "c": 1}
    assert placed(1, Shape(memory=1), {}) == {"waiting": 1}
    assert node_for(Shape(), [], {}) is None


def test_those_that_do_nothing_end_first_and_the_busy_last():
    seats = [seat(0), seat(1), seat(2, "broken"), seat(3, None), seat(4)]
    order = [each.number for each in to_drain(seats, {1}, 5, "spread")]
    assert order == [3, 2, 1, 4, 0]
    assert [each.number for each in to_drain(seats, {1}, 3, "spread")] == order[:3]
    assert to_drain(seats, {1}, 0, "spread") == to_drain(seats, {1}, -2, "spread") == []


def test_where_workers_are_too_many_nodes_are_evened_or_freed():
    seats = [seat(n, node="aaabbc"[n]) for n in range(6)]

    def left(surplus: int, spread: Spread) -> Counter[str]:
        ending = {each.number for each in to_drain(seats, (), surplus, spread)}
        return Counter(each.node_id for each in seats if each.number not in ending)

    assert left(3, "spread") == {"a": 1, "b": 1, "c": 1}
    assert left(3, "packed") == {"a": 3}
