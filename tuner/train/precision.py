"""Which number type the activations take; weights, states and statistics stay as they are."""

from dataclasses import asdict
from functools import cache
from typing import Any

import torch

from tuner import kernels
from tuner.bnn.data.dataset import load_data
from tuner.bnn.own_network import trains_alone
from tuner.errors import InvalidInput
from tuner.machine import instruction_sets
from tuner.named import code_version
from tuner.train.recipe.teacher import version_of
from tuner.train.signs.ways import ways
from tuner.workload import Workload

_NAMED = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


def activation_dtype(workload: Workload, device: torch.device) -> torch.dtype:
    """The workload's precision; ``auto`` is bfloat16 where the device has it.

    Binary weights and activations are exact in bfloat16, and so are their sums up to 256. Batch
    norm's statistics, the last layer, the loss and all optimizer state are float32 at least.

    Raises:
        InvalidInput: If a network of the user's, without a trial axis, is to take bfloat16: its
            layers would take nothing but that. ``auto`` is float32 for it.
    """
    if trains_alone(workload):
        if workload.precision == "bfloat16":
            raise InvalidInput(
                "workload.precision: bfloat16 is for networks of tuner.bnn.layers; another may "
                "use torch.autocast in its forward"
            )
        return torch.float64 if workload.precision == "float64" else torch.float32
    if workload.precision != "auto":
        return _NAMED[workload.precision]
    return torch.bfloat16 if has_bfloat16(device.type) else torch.float32


def conditions(workload: Workload, device: str) -> dict[str, Any]:  # Any: JSON values
    """What decides speed and rounding here: device, precision, whether the kernels are in use.

    And how binary layers are done, where the network has any; where network or data are the
    user's, which code and which data they are too.

    Raises:
        InvalidInput: If data and network do not fit each other.
        DataMissing: If the data set is not there.
    """
    place = torch.device(device)
    dtype = activation_dtype(workload, place)
    return {
        **_of_the_user(workload),
        "device": place.type,
        "precision": str(dtype).removeprefix("torch."),
        "kernels": place.type == "cpu" and kernels.library() is not None,
        **ways(workload, place, dtype).in_words(),
    }


def _of_the_user(workload: Workload) -> dict[str, Any]:
    """Which code, teacher and data of the user's this is."""
    found: dict[str, Any] = {}
    code = [code_version(workload)] if workload.functions else []
    if workload.teacher:
        code.append(version_of(workload))
    if code:
        found["code"] = " and ".join(code)
    if workload.own_dataset or workload.folder:
        found["data"] = asdict(load_data(workload).counts)
    return found


@cache
def has_bfloat16(device_type: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device_type == "cuda":
        return torch.cuda.is_available() and bool(
            torch.cuda.is_bf16_supported(including_emulation=False)
        )
    return device_type == "cpu" and not instruction_sets().isdisjoint(("avx512_bf16", "amx_bf16"))
