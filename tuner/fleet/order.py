"""What a fleet is to be: how many workers, of what size, on which database."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tuner.errors import InvalidInput
from tuner.search.fleets.wish import Wish
from tuner.search.queue.queue import RETRIES
from tuner.search.work.crew import MakeTrainer
from tuner.search.work.trainers import Trainers
from tuner.wording import count

GRACE_SECONDS = 3600.0
"""So long a worker that is told to stop may go on, to end its epoch."""

Spread = Literal["spread", "packed"]
"""Workers on as many nodes as there are, or on as few as hold them."""

_GIB = 2**30
_TINY = 1e-6


@dataclass(frozen=True)
class Shape:
    """What one worker takes of a node.

    Args:
        gpus: The part of a GPU, 0 for none; in [0, 1], since a worker trains on one.
        cpus: CPUs, above 0.
        memory: GiB, above 0; None to ask for none in particular.
        spread: Whether the workers go to many nodes or to few.

    Raises:
        InvalidInput: If one is out of range.
    """

    gpus: float = 0.0
    cpus: float = 1.0
    memory: float | None = None
    spread: Spread = "spread"

    def __post_init__(self) -> None:
        if not 0 <= self.gpus <= 1:
            raise InvalidInput(
                f"gpus: a worker trains on one GPU or a part of it: from 0 to 1, got {self.gpus}"
            )
        if not 0 < self.cpus < math.inf:
            raise InvalidInput(f"cpus: must be above 0, got {self.cpus}")
        if self.memory is not None and not 0 < self.memory < math.inf:
            raise InvalidInput(f"memory: must be above 0 GiB, got {self.memory}")
        if self.spread not in get_args(Spread):
            raise InvalidInput(f"spread: must be spread or packed, got {self.spread!r}")

    @property
    def options(self) -> dict[str, Any]:  # Any: as Ray's options
        """The same in Ray's words."""
        strategy = {"spread": "SPREAD", "packed": "DEFAULT"}[self.spread]
        memory = {} if self.memory is None else {"memory": int(self.memory * _GIB)}
        sizes = {"num_cpus": self.cpus, "num_gpus": self.gpus}
        return {**sizes, **memory, "scheduling_strategy": strategy}

    def __str__(self) -> str:
        return resources({"CPU": self.cpus, "GPU": self.gpus, "memory": (self.memory or 0) * _GIB})

    def room(self, node: Mapping[str, float]) -> int:
        """How many such workers a node holds that has these resources, others' work aside."""
        fits = [math.floor(node.get("CPU", 0.0) / self.cpus + _TINY)]
        if self.gpus:
            each = math.floor(1 / self.gpus + _TINY)
            fits.append(each * math.floor(node.get("GPU", 0.0)))
        if self.memory is not None:
            fits.append(math.floor(node.get("memory", 0.0) / (self.memory * _GIB)))
        return min(fits)


def resources(amounts: Mapping[str, float]) -> str:
    """Resources in words: ``4 CPUs, 1 GPU, 12 GiB``."""
    units = {name: amounts.get(name, 0.0) for name in ("CPU", "GPU")}
    words = [f"{amount:g} {name}{'' if amount == 1 else 's'}" for name, amount in units.items()]
    if amounts.get("memory"):
        words.append(f"{amounts['memory'] / _GIB:.1f} GiB")
    return ", ".join(words)


def check_room(shape: Shape, workers: int, nodes: Iterable[Mapping[str, float]]) -> None:
    """Refuse more workers than the nodes of a cluster hold.

    Raises:
        InvalidInput: If they do not fit; says what there is.
    """
    there = list(nodes)
    room = sum(shape.room(node) for node in there)
    if workers <= room:
        return
    names = {name for node in there for name in node}
    total = {name: sum(node.get(name, 0.0) for node in there) for name in names}
    raise InvalidInput(
        f"{count(workers, 'worker')} of {shape} each do not fit: the cluster has "
        f"{count(len(there), 'node')} with {resources(total)} in all, which is room for {room}; "
        "ask for fewer or for smaller ones, or, where the cluster grows by itself, for --min "
        f"{room} or less with --max"
    )


@dataclass(frozen=True)
class Order:
    """A fleet as it was ordered; travels to its manager and to every worker.

    Args:
        database: The address, as the nodes reach it.
        wish: How many workers.
        shape: What each takes of a node.
        code: What runs where it was ordered; see ``code.code_here``.
        grace_seconds: How long workers that are told to stop may go on.
        retries: How often a trial that raised is run again.
        make_trainer: Makes each worker's trainer.
    """

    database: str
    wish: Wish
    shape: Shape = field(default_factory=Shape)
    code: Mapping[str, str] = field(default_factory=dict)
    grace_seconds: float = GRACE_SECONDS
    retries: int = RETRIES
    make_trainer: MakeTrainer = Trainers

    def __post_init__(self) -> None:
        if not self.grace_seconds >= 0:
            raise InvalidInput(f"grace must be at least 0 seconds, got {self.grace_seconds}")
        if self.retries < 0:
            raise InvalidInput(f"retries must be at least 0, got {self.retries}")
