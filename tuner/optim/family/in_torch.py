"""Steps in torch's operations, for rules without a compiled step."""

from tuner.optim.base import BinaryOptimizer
from tuner.optim.parameters import Lot


class InTorch(BinaryOptimizer):
    """A rule whose every step is ``_update``, one parameter after the other."""

    def _parted(self, lot: Lot) -> tuple[list[Lot], Lot]:
        return [], lot
