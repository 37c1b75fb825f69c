"""How many trials to train as one program."""

import torch

from tuner.workload import Workload

_CPU_ACTIVATIONS = 2**19
_MOST = 32


def trials_per_batch(workload: Workload, device: str) -> int:
    """K, the number of trials to train at once on a device.

    On a CPU fusing pays while one step is short and its activations stay in the cache, which
    leaves it to small fully connected networks; convolutions train one by one.
    """
    if torch.device(device).type == "cpu" and workload.model != "mlp":
        return 1
    activations = workload.batch_size * sum(workload.layer_widths)
    return max(1, min(_MOST, _CPU_ACTIVATIONS // activations))
