"""Steps in torch's operations, for rules without a compiled step."""

from torch import Tensor

from tuner.optim.base import BinaryOptimizer
from tuner.optim.groups import Group
from tuner.optim.parameters import Lot


class InTorch(BinaryOptimizer):
    """A rule whose every step is ``_update``, one parameter after the other."""

    def _update_lot(self, lot: Lot, group: Group) -> list[Tensor]:
        return [self._update(*each, group) for each in lot]
