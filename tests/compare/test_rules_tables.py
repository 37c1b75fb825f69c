"""The page's tables of all update rules are those of the committed reports."""

from tests.compare.rules_tables import PAGE, STUDIES, page, report_of, table
from tuner.rules import RULES


def test_the_page_holds_the_tables_of_the_reports():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text
    for study in STUDIES:
        assert table(report_of(study)) in text


def test_each_rule_has_a_row_and_the_best_rank_is_first():
    for study in STUDIES:
        report = report_of(study)
        rows = [line.split(" | ") for line in table(report).splitlines()[2:]]
        assert len(rows) == len(report["arms"]) == len(RULES) - 1  # designs have another
        ranks = [float(cells[1]) for cells in rows]
        assert ranks == sorted(ranks)
