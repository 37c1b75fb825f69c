"""Filters in slots over a stream of gradients: a state at rest, and a step. See ``slots``."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.optim.designed import slots
from tuner.optim.designed.prototypes import Array
from tuner.optim.designed.sections import check_low_pass
from tuner.optim.filters import FilterState, along, state_like
from tuner.optim.groups import Group, Value

Numbers = tuple[tuple[float, ...], ...] | Tensor
"""Slots, or prototypes: of one filter, or of one for each trial, shape [K, S, C]."""

InWords = Callable[[Array], str]
"""Says which filter one's slots or prototype are."""


def kept(numbers: Array, *, as_tensor: bool = False) -> Numbers:
    """Numbers as a parameter group keeps them: one filter's as they are, those of trials together.

    Args:
        numbers: Shape [S, C] or [K, S, C].
        as_tensor: Whether a recorded step is to read them, so that they must be a tensor.
    """
    if numbers.ndim == 2 and not as_tensor:
        return tuple(map(tuple, numbers.tolist()))
    return torch.tensor(numbers)


def same(one: Numbers, other: Numbers) -> bool:
    """Whether slots, or prototypes, are of the same filters, filled up or not."""
    if one is other:
        return True
    a, b = map(_of_each, (one, other))
    rows = max(a.shape[1], b.shape[1])
    a, b = (np.pad(each, ((0, 0), (0, rows - each.shape[1]), (0, 0))) for each in (a, b))
    alike = len(a) == len(b) or 1 in (len(a), len(b))
    return alike and np.allclose(a, b, rtol=1e-9, atol=0)


def _of_each(numbers: Numbers) -> Array:
    """Those of each filter, shape [K, S, C]; K is 1 where all trials share one."""
    array = np.asarray(numbers.cpu() if isinstance(numbers, Tensor) else numbers, dtype=np.float64)
    return array.reshape(-1, *array.shape[-2:])


def in_words(numbers: Numbers, of_one: InWords, most: int = 3) -> str:
    """Slots, or prototypes, in a phrase; of many trials the first that differ."""
    names = list(dict.fromkeys(map(of_one, _of_each(numbers))))
    return " and ".join(names[:most]) + (" and others" if len(names) > most else "")


def refuse_others(
    saved: Sequence[Group], groups: Sequence[Group], owner: str, key: str, of_one: InWords
) -> None:
    """Refuse the state of other filters: what torch loads are numbers, these are the program's.

    Args:
        saved: The groups of what is to be loaded.
        groups: The optimizer's.
        owner: Its name.
        key: ``slots`` or ``design``.
        of_one: Says which filter one of them is.

    Raises:
        InvalidInput: Naming both.
    """
    for theirs, ours in zip(saved, groups, strict=False):
        if key not in theirs:
            raise InvalidInput(
                f"{owner}: this is the state of another optimizer, its groups have no {key}; load "
                f"what a {owner} of {in_words(ours[key], of_one)} saved"
            )
        if not same(theirs[key], ours[key]):
            raise InvalidInput(
                f"{owner}: this is the state of {in_words(theirs[key], of_one)}, and the filter "
                f"here is {in_words(ours[key], of_one)}; make the same one, or begin without it"
            )


def slots_of(sos: object) -> Numbers:
    """Second-order sections in scipy.signal's convention as slots.

    Args:
        sos: Sections, shape [S, 6], or [K, S, 6] for one filter per trial.

    Raises:
        InvalidInput: If the shape is wrong, or ``sections.check_low_pass`` refuses a filter.
    """
    numbers = np.array(sos, dtype=np.float64)
    if numbers.ndim != 3:
        return kept(slots.of_sections(check_low_pass(numbers, "FilterFlip: sos")))
    each = [check_low_pass(one, "FilterFlip: sos") for one in numbers]
    return kept(slots.of_sections(np.stack(each)))


def at_rest(like: Tensor, numbers: Numbers) -> FilterState:
    """The state of ``run``, all zeros.

    Args:
        like: A parameter.
        numbers: Slots or prototypes; the last of each says how many numbers of state it has.
    """
    rows = numbers.amax(0).tolist() if isinstance(numbers, Tensor) else numbers
    return {
        f"{letter}{i}": state_like(like)
        for i, row in enumerate(rows)
        for letter in "wv"[: int(row[-1])]
    }


def run(state: FilterState, gradient: Tensor, rows: Numbers) -> Tensor:
    """One step of a filter, in torch.

    Args:
        state: As ``at_rest`` gives it; changed in place.
        gradient: g_t, in the state's type.
        rows: Slots.

    Returns:
        s_t.
    """
    x = gradient
    for i, (feed, out, b, a, c, d, e, _) in enumerate(_coefficients(rows, gradient)):
        y = feed * x
        if (w := state.get(f"w{i}")) is not None:
            y = y + out * w
            change = b * x - a * w
            if (v := state.get(f"v{i}")) is not None:
                change = change + c * v
                v.add_(d * x - e * w)
            w.add_(change)
        x = y
    return x


def _coefficients(rows: Numbers, like: Tensor) -> Sequence[Sequence[Value]]:
    """Per slot its numbers: floats, or tensors, of which a recorded step reads what is there."""
    if not isinstance(rows, Tensor):
        return rows
    rows = rows.to(dtype=like.dtype, device=like.device)
    if rows.dim() == 2:
        return [slot.unbind() for slot in rows]
    return [
        [along(number.contiguous(), like) for number in rows[:, i].unbind(-1)]
        for i in range(rows.shape[1])
    ]
