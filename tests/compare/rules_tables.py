"""The tables of ``docs/method.md`` of all update rules, a study each, from its report.

After one is made anew, or another study is named here, ``python -m tests.compare.rules_tables``
puts them into the page.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "method.md"
STUDIES = ("rules_digits", "rules_fashion")
HEAD = (
    "rule",
    "mean rank",
    "what ten searches of ten trials selected, trained afresh: median on test",
    "trials that reach {target:.0%} on validation",
)

Report = Mapping[str, Any]


def report_of(study: str) -> Report:
    """The committed report of a study."""
    file = ROOT / "studies" / "examples" / f"{study}.json"
    report: Report = json.loads(file.read_text(encoding="utf-8"))
    return report


def table(report: Report) -> str:
    """A row for each rule, the best mean rank first; intervals are of 95%."""
    many, target = report["many_arms"], report["protocol"]["target"]
    ranks = dict(zip(many["names"], many["ranks"]["ranks"], strict=True))
    arms = sorted(report["arms"], key=lambda arm: ranks[arm["name"]])
    head = [cell.format(target=target) for cell in HEAD]
    rows = [
        [
            arm["name"],
            f"{ranks[arm['name']]:.2f}",
            _percent(arm["selected"]["median"]),
            _percent(arm["target"]["share"]),
        ]
        for arm in arms
    ]
    return "".join(map(_line, [head, ["---"] * len(head), *rows]))


def page(text: str) -> str:
    """The page with the tables in their places."""
    for study in STUDIES:
        begin, end = f"<!-- table of {study} -->\n", f"<!-- end of {study} -->\n"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{table(report_of(study))}\n{end}{after}"
    return text


def _percent(estimate: Mapping[str, float]) -> str:
    value, low, high = (100 * estimate[name] for name in ("value", "low", "high"))
    return f"{value:.1f}% ({low:.1f} to {high:.1f})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
