"""The table of ``docs/speed.md``, from what ``tuner bench --json`` wrote.

A file in ``studies/benchmarks`` is a machine, and a column. After another one lies there,
``python -m tests.bench.speed_table`` puts the table into the page.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuner.bench.measured_on import CLEAN

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "speed.md"
BEGIN, END = "<!-- table of studies/benchmarks -->\n", "<!-- end of table -->\n"
SHOWN = ("auto", "no compiler")
"""The variants that the page is about."""

Document = Mapping[str, Any]
Key = tuple[str, str, str]
"""Workload, variant, baseline."""


def documents() -> list[Document]:
    """What was measured, in the order of the files' names."""
    files = sorted((ROOT / "studies" / "benchmarks").glob("*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def table(measured: Sequence[Document]) -> str:
    """A row for each ratio, a column for each machine; whole runs alone.

    Raises:
        ValueError: If one of them was a quick look, or was stopped.
    """
    for document in measured:
        if document["quick"] or document["stopped"]:
            raise ValueError(f"{_machine(document)}: measure without --quick, to the end")
    cells = [_cells(document["rows"]) for document in measured]
    keys = dict.fromkeys(key for column in cells for key in column)
    head = ["times the plain one", *map(_machine, measured)]
    lines = [_line(head), _line(["---"] * len(head))]
    for key in keys:
        workload, variant, baseline = key
        name = f"{workload}: {variant}, against {baseline}"
        lines.append(_line([name, *(column.get(key, "") for column in cells)]))
    if any("*" in cell for column in cells for cell in column.values()):
        share = f"{CLEAN:.0%}"
        lines += ["", f"\\* not clean: other processes took more than {share} of the processors."]
    return "\n".join(lines) + "\n"


def page(text: str, measured: Sequence[Document]) -> str:
    """The page with the table in its place."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(measured)}\n{END}{after}"


def _cells(rows: Iterable[Mapping[str, Any]]) -> dict[Key, str]:
    return {
        (row["workload"], row["variant"], row["baseline"]): _cell(row)
        for row in rows
        if row["ratio"] is not None and row["variant"] in SHOWN
    }


def _cell(row: Mapping[str, Any]) -> str:
    """The ratio and its range; a star where others took too much of the machine."""
    spread = "" if row["low"] is None else f" ({row['low']:.1f} to {row['high']:.1f})"
    return f"{row['ratio']:.1f}{spread}{'*' if row['clean'] is False else ''}"


def _machine(document: Document) -> str:
    machine = document["machine"]
    has = [flag for flag in ("avx512_bf16", "avx512f", "avx2") if machine["flags"].get(flag)][:1]
    amx = "AMX" if machine["flags"]["amx_bf16"] else "no AMX"
    sets = ", ".join([*(flag.replace("_", "-").upper() for flag in has), amx])
    design = f"{machine['processor']} ({machine['microarchitecture']})"
    return f"{design}, {machine['cores']} cores, {sets}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), documents()), encoding="utf-8")
