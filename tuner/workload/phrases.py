"""Workloads as people read them, and what is known of their scores beforehand."""

from collections.abc import Mapping

from tuner.wording import count
from tuner.workload.choices import ACCURACY, LOSSES, OPTION, SCORED_ON
from tuner.workload.own_objective import Objective
from tuner.workload.workload import AnyWorkload


def in_words(workload: AnyWorkload) -> str:
    """The workload in a phrase, such as "digits, mlp 64-64-64, 20 epochs"."""
    if isinstance(workload, Objective):
        epochs = [f"at most {count(workload.epochs, 'epoch')}"] if workload.epochs > 1 else []
        return ", ".join((workload.objective, *_options(workload.options), *epochs))
    widths = "-".join(str(width) for width in workload.layer_widths)
    parts = [workload.folder or workload.dataset, *_options(workload.dataset_options)]
    if workload.size:
        parts.append(f"{workload.size}x{workload.size} pixels")
    parts += [f"{workload.model} {widths}".rstrip(), *_options(workload.model_options)]
    if workload.binary_ends:
        parts.append("all layers binary")
    if workload.n_train:
        parts.append(count(workload.n_train, "training sample"))
    if workload.loss != LOSSES[0]:
        parts.append(f"loss {workload.loss}")
    if workload.teacher:
        parts.append(f"taught by {workload.teacher}")
    if workload.metric != ACCURACY:
        parts.append(f"scored by {workload.metric}")
    first = workload.real_epochs
    real = [f"the first {first} with real weights"] if first else []
    return ", ".join((*parts, count(workload.epochs, "epoch"), *real))


def _options(options: Mapping[str, OPTION]) -> list[str]:
    return [f"{name} {value}" for name, value in options.items()]


def scored_on(workload: AnyWorkload) -> str:
    """What its scores generalise to, in a sentence; empty where that is not known for certain."""
    if isinstance(workload, Objective):
        return workload.scored_on
    return SCORED_ON.get(workload.dataset, "")


def chance(workload: AnyWorkload) -> float | None:
    """Accuracy of guessing: the data sets have ten classes; ``None`` where it is not known."""
    if isinstance(workload, Objective):
        return workload.chance
    own = workload.folder or workload.own_dataset or workload.metric != ACCURACY
    return None if own else 0.1
