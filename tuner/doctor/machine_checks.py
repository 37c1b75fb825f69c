"""The machine: compiler, compiled operations, GPUs, data sets. What needs torch imports it."""

import os
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from sqlalchemy import select

from tuner import config
from tuner.doctor.setup import Finding, Setup
from tuner.machine import gpus
from tuner.measured import all_kept
from tuner.search.database.tables import ACTIVE, comparisons
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.declared.whole_trials import STORED
from tuner.workload import Workload

_ANSWERS = 3
_SLOWER = "training on the CPU takes about twice as long"


def compiler(setup: Setup) -> Finding:
    """Whether there is a C++ compiler."""
    from tuner.kernels import find_compiler

    del setup
    try:
        _, words = find_compiler()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        fix = "install g++ or clang++, or name one in CXX"
        return Finding("warning", f"{_first_line(str(error))}; {_SLOWER}", fix)
    return Finding("ok", _first_line(words))


def kernels(setup: Setup) -> Finding | None:
    """Whether the compiled operations can be had."""
    from tuner.kernels import compiled, switched_off

    del setup
    if switched_off():
        fix = "unset TUNER_KERNELS, unless you mean it"
        return Finding("warning", f"left out by TUNER_KERNELS; {_SLOWER}", fix)
    try:
        place = compiled()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None  # there is no compiler, as its own check says
    if place is None:
        return Finding("ok", f"not compiled yet; the first training does, in {config.cache_dir()}")
    return Finding("ok", f"compiled: {place}")


def batches(setup: Setup) -> Finding | None:
    """What was measured of how many trials train together, and when: the newest answers."""
    del setup
    answers = [answer for answer in all_kept("trials-per-batch") if answer.get("measured_at")]
    answers.sort(key=lambda answer: str(answer["measured_at"][-1]), reverse=True)
    if not answers:
        return None
    more = len(answers) - _ANSWERS
    rest = [f"{more} more in {config.cache_dir()}"] if more > 0 else []
    return Finding("ok", "; ".join([*map(_batch_size, answers[:_ANSWERS]), *rest]))


def _batch_size(answer: Mapping[str, Any]) -> str:
    """How many trials of a workload train together, when that was measured, and beside what."""
    about = answer["measured_on"]
    workload, times = about["workload"], answer["measured_at"]
    widths = "-".join(map(str, workload.get("widths") or ()))
    load = "" if answer["load"] is None else f", load {answer['load']}"
    doubt = f", to be measured again: {answer['doubt']}" if answer["doubt"] else ""
    name = " ".join(filter(None, (workload["model"], widths)))
    when = f"measured {times[-1]}, time {len(times)}{load}{doubt}"
    return f"{name} on {about['device']}: {answer['trials']} trials together ({when})"


def gpu(setup: Setup) -> Finding:
    """Whether torch can use the GPUs of this machine."""
    del setup
    there = gpus()
    if not there and os.environ.get("CUDA_VISIBLE_DEVICES") is None:
        return Finding("ok", "none: training runs on the CPU")
    import torch

    if not there:
        return Finding("ok", "none is let be seen (CUDA_VISIBLE_DEVICES)")
    try:
        names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        if names:
            torch.ones(1, device="cuda").sum().item()
    except RuntimeError as error:
        fix = "look at the driver (nvidia-smi), and restart the machine or the container"
        return Finding("problem", f"a GPU does not work: {_first_line(str(error))}", fix)
    if not names:
        return Finding(
            "warning",
            f"{len(there)} are here, and torch {version('torch')} can use none of them",
            "install the torch that is built for the driver's CUDA: "
            "https://pytorch.org/get-started/locally",
        )
    return Finding("ok", ", ".join(names))


def data_sets(setup: Setup) -> Finding:
    """Which data sets are here, and whether the comparisons in the database need others."""
    from tuner.bnn.data.sources import on_this_machine

    here = on_this_machine(config.data_dir())
    others = [name for name, there in here.items() if not there]
    wanted = sorted({name for name in _wanted(setup) if name in others})
    found = f"{', '.join(name for name, there in here.items() if there)} are here"
    if wanted:
        return Finding(
            "warning",
            f"{found}; {', '.join(wanted)}, which active comparisons need, would be downloaded",
            f"where there is no network, put the files into {config.data_dir()}; see "
            "docs/studies.md",
        )
    if others:
        found += f"; {', '.join(others)} would be downloaded at first use"
    return Finding("ok", found)


def _wanted(setup: Setup) -> list[str]:
    """The data sets of the active comparisons."""
    if setup.readable is None:
        return []
    query = select(comparisons.c.spec).where(comparisons.c.status == ACTIVE)
    specs = setup.readable.scalars(query)
    workloads = [
        ComparisonSpec.model_validate_json(spec, context=STORED).workload for spec in specs
    ]
    return [workload.dataset for workload in workloads if isinstance(workload, Workload)]


def _first_line(words: str) -> str:
    return words.strip().partition("\n")[0]
