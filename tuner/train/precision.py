"""Which number type the activations take; weights, states and statistics stay as they are."""

from functools import cache

import torch

from tuner import kernels
from tuner.machine import instruction_sets
from tuner.workload import Workload

_NAMED = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


def activation_dtype(workload: Workload, device: torch.device) -> torch.dtype:
    """The workload's precision; ``auto`` is bfloat16 where the device has it.

    Binary weights and activations are exact in bfloat16, and so are their sums up to 256. Batch
    norm's statistics, the last layer, the loss and all optimizer state are float32 at least.
    """
    if workload.precision != "auto":
        return _NAMED[workload.precision]
    return torch.bfloat16 if has_bfloat16(device.type) else torch.float32


def conditions(workload: Workload, device: str) -> dict[str, str | bool]:
    """What decides speed and rounding here: device, precision, whether the kernels are in use."""
    place = torch.device(device)
    return {
        "device": place.type,
        "precision": str(activation_dtype(workload, place)).removeprefix("torch."),
        "kernels": place.type == "cpu" and kernels.library() is not None,
    }


@cache
def has_bfloat16(device_type: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device_type == "cuda":
        return torch.cuda.is_available() and bool(
            torch.cuda.is_bf16_supported(including_emulation=False)
        )
    return device_type == "cpu" and not instruction_sets().isdisjoint(("avx512_bf16", "amx_bf16"))
