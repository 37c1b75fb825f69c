"""What `tuner status` says of a comparison: its looks, and who is on the way to it."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.cli.commands import tuner
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import studies
from tuner.search.declared.spec import ComparisonSpec, load
from tuner.search.queue import control, roster

DEMO = "sqlite:///results/digits.db"
LOOKS = "the verdict is looked at after 20, 30 of 40 searches of each arm; the searches end at the"


@pytest.fixture
def store() -> Iterator[Store]:
    opened = open_store("sqlite:///tuner.db")
    yield opened
    opened.close()


@pytest.fixture
def spec(store: Store) -> ComparisonSpec:
    """A declared comparison that may end at a look, submitted."""
    declared = load("digits_until_settled")
    control.submit(store, declared)
    return declared


def give(store: Store, budgets: Mapping[str, int]) -> None:
    """Let the studies have so many trials, as a look does."""
    with store.begin() as connection:
        for name, n_trials in budgets.items():
            change = update(studies).where(studies.c.study_name == name)
            connection.execute(change.values(n_trials=n_trials))


def told() -> str:
    """All that is printed, wherever lines are broken."""
    return " ".join(tuner("status").output.split())


def test_status_says_where_it_looked_and_names_the_demos_database():
    refused = tuner("status")
    assert refused.exit_code == 2
    said = f"there is no file tuner.db; check the name (looked in {Path.cwd()}"
    assert f"{said})" in refused.stderr
    Path("results").mkdir()
    open_store("sqlite:///results/digits.db").close()
    assert f"{said}; the demo's is here: --database {DEMO})" in tuner("status").stderr
    assert tuner("status", "--database", DEMO).exit_code == 0
    assert "looked in" not in tuner("status", "--database", "sqlite:///other.db").stderr


@pytest.mark.usefixtures("spec")
def test_status_says_which_looks_are_declared_and_what_the_next_one_waits_for():
    assert LOOKS in told()
    assert "look 1 of 2, after 20 of 40 searches: waits for what these searches of" in told()
    looks = json.loads(tuner("status", "--json").stdout)["digits_until_settled"]["looks"]
    assert (looks["after"], looks["planned"], looks["taken"]) == ([20, 30], 40, 0)


def test_status_says_what_a_look_led_to(store: Store, spec: ComparisonSpec):
    give(store, spec.budgets(30))
    assert (
        "look 1 of 2, after 20 of 40 searches: the verdict is not settled, so the searches go on "
        "look 2 of 2, after 30 of 40 searches: waits for"
    ) in told()
    control.change_comparison(store, spec.name, "cancel")
    assert "so the searches go on" in told() and "waits for" not in told()


def test_status_says_that_a_comparison_ended_early(store: Store, spec: ComparisonSpec):
    incumbents = [spec.retraining(arm).study_name for arm in spec.judged]
    give(store, spec.budgets(20) | dict.fromkeys(incumbents, spec.retrain_seeds))
    ended = "look 1 of 2, after 20 of 40 searches: the verdict is settled, so the searches end"
    assert ended in told() and "look 2" not in told()
    assert json.loads(tuner("status", "--json").stdout)[spec.name]["looks"]["settled"] is True


def test_the_numbers_of_status_add_up_before_and_after_a_cancellation(store: Store):
    control.submit(store, load("digits"))

    def line() -> list[int]:
        """Of the arm magnitude: done, of, running, waiting, failed, cancelled, afresh, of."""
        (row,) = (
            row for row in tuner("status").output.splitlines() if row.startswith("magnitude ")
        )
        return [int(number) for number in re.findall(r"\d+", row)]

    (arm,) = (a for a in load("digits").arms if a.name == "magnitude")
    trials, afresh = load("digits").trials_of(arm), line()[-1]
    assert line() == [0, trials, 0, trials + afresh, 0, 0, 0, afresh]
    control.change_comparison(store, "digits", "cancel")
    assert line() == [0, trials, 0, 0, 0, trials + afresh, 0, 0]
    told_by_json = json.loads(tuner("status", "--json").stdout)["digits"]["arms"]
    assert {(each["waiting"], each["running"]) for each in told_by_json} == {(0, 0)}


def test_status_names_no_looks_where_none_are_declared(store: Store):
    control.submit(store, load("digits"))
    assert "look" not in told()
    assert json.loads(tuner("status", "--json").stdout)["digits"]["looks"] is None


def test_status_names_what_goes_on_with_a_comparison_that_nobody_works_on(store: Store):
    control.submit(store, load("digits"))
    assert "no worker is running; start one with: tuner worker" in told()
    assert "or go on with it from here: tuner run digits" in told()


def test_status_says_that_workers_are_starting_and_has_nobody_start_more(store: Store):
    control.submit(store, load("digits"))
    roster.announce(store, "w", "cpu")
    assert "workers are starting" in told() and "tuner run" not in told()
