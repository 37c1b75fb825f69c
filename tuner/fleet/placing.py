"""On which node a worker starts, and which workers end, so that they are many places or few."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tuner.fleet.cluster import Node
from tuner.fleet.order import Shape, Spread
from tuner.fleet.seats import Seat


def node_for(shape: Shape, nodes: Sequence[Node], taken: Mapping[str, int]) -> str | None:
    """The node that one more worker is to start on; None if the fleet has filled them all.

    Ray's own strategies do not place as named: DEFAULT fills a node only to its half before it
    goes on to the next, and SPREAD takes turns whoever is where. A placement group would, but it
    is as large as it was made: it grows by no worker and gives none back. So each worker asks for
    a node, softly: Ray starts it elsewhere where others' work fills that node, and again anywhere
    with room where it has died.

    Args:
        shape: What the worker takes of a node, and whether they go to many nodes or to few.
        nodes: Those that are up, in the order in which they are preferred.
        taken: By how many of the fleet's workers each is.
    """
    free = [node for node in nodes if taken.get(node.node_id, 0) < shape.room(node.resources)]
    if not free:
        return None
    choose = min if shape.spread == "spread" else max
    return choose(free, key=lambda node: taken.get(node.node_id, 0)).node_id


def to_drain(
    seats: Sequence[Seat], idle: Iterable[int], surplus: int, spread: Spread
) -> list[Seat]:
    """Which workers end where there are too many: those that do nothing yet, or nothing now.

    Of those that are alike in that, the ones on the node with most of them, or where they are to
    be packed, with fewest, so that it is free soon.

    Args:
        seats: Those that are not ending.
        idle: The numbers of those that train nothing.
        surplus: How many are too many.
        spread: Whether they are to be on many nodes or on few.
    """
    resting, sign = set(idle), -1 if spread == "spread" else 1
    beside = Counter(seat.node_id for seat in seats)
    left = {seat.number: seat for seat in seats}

    def cost(seat: Seat) -> tuple[int, int, int]:
        works = 0 if seat.seen is None else 1
        if seat.state == "working":
            works = 2 if seat.number in resting else 3
        return works, sign * beside[seat.node_id], -seat.number

    ending = []
    for _ in range(min(surplus, len(seats))):
        ending.append(left.pop(min(left.values(), key=cost).number))
        beside[ending[-1].node_id] -= 1
    return ending
