"""The page's table is what was measured, and says where it cannot be relied on."""

import copy

import pytest

from tests.bench.speed_table import PAGE, documents, page, table


def test_the_page_holds_the_table_of_what_was_measured():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, documents()) == text


def test_two_machines_are_two_columns_and_a_busy_one_is_marked():
    one = {**documents()[0]}
    one["rows"] = [dict(row, clean=True) for row in one["rows"]]
    two = copy.deepcopy(one)
    two["machine"]["microarchitecture"] = "Zen 9"
    two["rows"] = [dict(two["rows"][0], ratio=2.0, low=1.5, high=2.5, load=0.4, clean=False)]
    head, _, first, second, *_, note = table([one, two]).splitlines()
    assert "Zen 9" in head
    assert first.endswith("| 2.0 (1.5 to 2.5)* |")
    assert second.endswith("|  |")
    assert "more than 5% of the processors" in note
    assert "not clean" not in table([one])


@pytest.mark.parametrize("what", ["quick", "stopped"])
def test_a_quick_look_is_no_column(what):
    with pytest.raises(ValueError, match="measure without --quick"):
        table([{**documents()[0], what: True}])
