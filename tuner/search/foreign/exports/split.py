"""Which columns of a table of runs are settings and which are results, where no name says so.

W&B and MLflow export the settings in the alphabet's order, and after them the results in it: the
border is where the alphabet begins anew. In a table whose columns somebody moved, their names
decide.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

_RESULTS = frozenset(
    "loss acc accuracy auc auroc auprc ap map iou miou dice f1 precision recall specificity "
    "sensitivity mse rmse rmspe mae mape r2 psnr ssim fid nll perplexity ppl bleu rouge wer cer "
    "elbo reward return score error err top1 top5 metric corr pearson spearman kappa mcc".split()
)
_STAGES = frozenset("train training val valid validation test eval evaluation dev".split())
_COUNTS = frozenset(("epoch", "step", "global_step", "iteration"))
_SETTINGS = frozenset(
    "name names fn function type size weight weights path dir file every interval freq frequency "
    "goal patience split ratio threshold lambda coef coefficient".split()
)


@dataclass(frozen=True)
class Columns:
    """Columns of settings, and columns of results, in the table's order."""

    settings: tuple[str, ...]
    results: tuple[str, ...]


def split(columns: Sequence[str], is_numeric: Callable[[str], bool]) -> Columns:
    """The columns parted where the alphabet begins anew, if it does so just once.

    Else, or where more of the first part are called as results are, by their names. Columns that
    lead the second part and are not called as results are settings that somebody moved.

    Args:
        columns: In the table's order.
        is_numeric: Whether a column holds numbers; no other is called as a result.
    """
    named = [_is_result(column) and is_numeric(column) for column in columns]
    keys = [column.casefold() for column in columns]
    anew = [index for index, (last, this) in enumerate(pairwise(keys), start=1) if this < last]
    border = anew[0] if len(anew) == 1 else 0
    if not border or _share(named[border:]) <= _share(named[:border]):
        pairs = list(zip(columns, named, strict=True))
        return Columns(
            tuple(column for column, result in pairs if not result and not is_count(column)),
            tuple(column for column, result in pairs if result),
        )
    first = named.index(True, border)
    moved = tuple(column for column in columns[border:first] if not is_count(column))
    return Columns((*columns[:border], *moved), tuple(columns[first:]))


def _share(named: Sequence[bool]) -> float:
    return sum(named) / len(named)


def is_count(column: str) -> bool:
    """Whether a column says how far a run came, such as ``trainer/global_step``."""
    return column.rpartition("/")[2].lower() in _COUNTS


def _is_result(column: str) -> bool:
    words = _words(column.rpartition(".")[2])
    staged = "/" in column and column.partition("/")[0].lower() in _STAGES
    if _SETTINGS.intersection(words):
        return False
    return staged or bool(_RESULTS.intersection(words))


def _words(column: str) -> list[str]:
    joined = re.sub(r"(f|r|top)[_@-]?(\d)", r"\1\2", column)
    parts = re.split(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])", joined)
    return [part.lower() for part in parts if part]
