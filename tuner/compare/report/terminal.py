"""The comparison on a terminal: one row per arm, the contrasts, and the verdict in a panel."""

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tuner.compare.comparison import Comparison
from tuner.compare.report.evidence_rows import ranks_in_words
from tuner.compare.report.rows import arm_rows, contrast_table

_COLUMNS = 4
"""More arms go into further tables: a terminal has no room for them."""

VERDICT_STYLES = {
    "supported": "green",
    "equivalent": "cyan",
    "inconclusive": "yellow",
    "fragile": "magenta",
    "unconfirmed": "yellow",
}


def print_table(comparison: Comparison, console: Console) -> None:
    """Print the arms, the contrasts, the notes and, last and nearest to the prompt, the verdict.

    Measures are rows and arms are columns, so that three arms fit into 80 characters.
    """
    for first in range(0, len(comparison.arms), _COLUMNS):
        console.print(_arms(comparison, slice(first, first + _COLUMNS)))
        console.print()
    console.print(_contrasts(comparison))
    if comparison.many_arms is not None:
        console.print(Text(ranks_in_words(comparison.many_arms)))
    for note in comparison.notes:
        console.print(Text(f"· {note}", style="dim"))
    console.print(_panel(comparison))


def _arms(comparison: Comparison, part: slice) -> Table:
    """Some of the arms; a measure that none of them has is left out."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("")
    for arm in comparison.arms[part]:
        table.add_column(Text(arm.name), justify="right", overflow="fold")
    for label, cells in arm_rows(comparison):
        if set(cells[part]) != {"-"}:
            table.add_row(Text(label, style="dim"), *map(Text, cells[part]))
    return table


def _contrasts(comparison: Comparison) -> Group:
    headings, rows = contrast_table(comparison)
    lines, width = [], max(map(len, headings), default=0) + 2
    for label, cells in rows:
        if set(cells) <= {"-"}:  # nothing at all, where no contrast has a number
            continue
        lines.append(Text(label, style="bold"))
        for heading, cell in zip(headings, cells, strict=True):
            if cell != "-":
                lines.append(Text.assemble((f"  {heading:<{width}}", "dim"), cell))
    return Group(*lines)


def _panel(comparison: Comparison) -> Panel:
    verdict = comparison.verdict
    return Panel(
        Text("\n\n".join((*verdict.sentences, verdict.ranges))),
        title=Text(verdict.heading.upper()),
        title_align="left",
        border_style=VERDICT_STYLES[verdict.kind],
        padding=(1, 2),
    )
