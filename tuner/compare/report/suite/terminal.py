"""A suite on a terminal: the workloads, what is said over all of them, and the answer last."""

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tuner.compare.report.suite.rows import Rows, pooled_rows, profile_rows, workload_rows
from tuner.compare.report.terminal import VERDICT_STYLES
from tuner.compare.suite.outcome import Suite
from tuner.compare.suite.said import heading, interim, kind, scope, sentences


def print_suite(suite: Suite, console: Console) -> None:
    """Print the tables, what is missing and, nearest to the prompt, the answer."""
    for label, (columns, rows) in (
        ("trials to the target", workload_rows(suite)),
        ("over all workloads", pooled_rows(suite)),
        ("share of the workloads", profile_rows(suite)),
    ):
        console.print(_table(label, columns, rows))
        console.print()
    for line in interim(suite):
        console.print(Text(f"· {line}", style="dim"))
    console.print(
        Panel(
            Text("\n\n".join((*sentences(suite), scope(suite)))),
            title=Text(heading(suite).upper()),
            title_align="left",
            border_style=VERDICT_STYLES[kind(suite)],
            padding=(1, 2),
        )
    )


def _table(label: str, columns: list[str], rows: Rows) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column(Text(label), overflow="fold")
    for column in columns:
        table.add_column(Text(column), justify="right", overflow="fold")
    for name, cells in rows:
        table.add_row(Text(name, style="dim"), *map(Text, cells))
    return table
