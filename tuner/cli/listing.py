"""What ``tuner compare STORAGE`` prints: the studies in it, and the line to type next."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tuner.cli.present import as_typed
from tuner.search.foreign.address import parse
from tuner.search.foreign.shown import printable, typed
from tuner.search.foreign.storages.kinds import opened
from tuner.wording import count

_MOST_READ, _MOST_NAMED = 20, 100
_ELSEWHERE = ("OTHER_STORAGE::STUDY", "OTHER_STORAGE::STUDY")


def print_studies(storage: str, console: Console) -> None:
    """Print the studies in a storage; of a few also how many trials they have.

    Args:
        storage: A file, a folder or an address.
        console: Where to.

    Raises:
        InvalidInput: If it is of no kind that can be read.
        DatabaseProblem: If it cannot be read.
    """
    address = parse(storage)
    with opened(address) as studies:
        names = list(studies)
        held = count(len(names), "study", "studies") if names else "no studies"
        console.print(Text(f"{address.shown} holds {held}"))
        if not names:
            return
        table = Table(box=None, pad_edge=False)
        table.add_column("study", overflow="fold")
        if len(names) <= _MOST_READ:
            table.add_column("finished trials", justify="right")
            table.add_column("objectives", overflow="fold")
            for name in names:
                record = studies[name]
                finished = sum(trial.state.is_finished() for trial in record.trials)
                table.add_row(
                    Text(printable(name)),
                    f"{finished:,} of {len(record.trials):,}",
                    Text(", ".join(record.objectives or record.directions) or "one"),
                )
        else:
            for name in names[:_MOST_NAMED]:
                table.add_row(Text(printable(name)))
        console.print(table)
        if len(names) > _MOST_READ:
            console.print(
                f"trials are counted of {_MOST_READ} studies at most, which takes reading them",
                highlight=False,
            )
    if len(names) > max(_MOST_READ, _MOST_NAMED):
        console.print(f"and {len(names) - _MOST_NAMED:,} more")
    named = [name for name in names if name.strip()]  # an address without a name is a storage's
    first, second, *_ = [*(f"{storage}::{name}" for name in named), *_ELSEWHERE]
    first, second = typed(first), typed(second)
    console.print("compare two, the new search space first:", highlight=False)
    line = as_typed(f"tuner compare {first} {second}")
    console.print(Text(f"  {line}"), soft_wrap=True)
