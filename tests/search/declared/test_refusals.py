"""Refusals of a value's kind speak of lists and tables, as declarations do, not of Python's."""

import re
import tomllib

import pytest
from comparisons import SMALL

from tuner.errors import InvalidInput
from tuner.search.declared.files import parse
from tuner.search.declared.spec import ComparisonSpec

SPACE = {"rule": "filter_flip", "parameters": {"alpha": {"low": 0.1, "high": 0.2}}}
A_TABLE = r"must be a table of keys and values \(in JSON an object\), got"


def in_space(change: str) -> str:
    """A declaration of the first arm's space, changed, and of the second arm."""
    parameters = "parameters.alpha = {low = 0.1, high = 0.2}"
    kept = "" if change.startswith("parameters") else f", {parameters}"
    space = f'{{rule = "filter_flip", {change}{kept}}}'
    return f'arms = [{{name = "new", space = {space}}}, {{name = "old", space = "filter"}}]'


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('verdict.looks = "half"', r"verdict\.looks: must be a list of shares such as \[0\.5, "
         r"0\.75\], got 'half'"),
        ("verdict.looks = 0.5", r"verdict\.looks: must be a list of shares .* got 0\.5"),
        ('verdict.primary = "new"', r"verdict\.primary: must be a list of two arms, new and old, "
         r"such as \[\"filter\", \"magnitude\"\], got 'new'"),
        ('verdict.repeated = ["new"]', r"verdict\.repeated\.1: this item of the list is required, "
         r"got \['new'\]"),
        ('verdict.primary = ["a", "b", "c"]', r"verdict\.primary: must have at most 2 items, got"),
        ("verdict = 3", rf"verdict: {A_TABLE} 3"),
        ("workload = 3", rf"workload: {A_TABLE} 3"),
        ("workload.widths = 64", r"workload\.widths: must be a list, got 64"),
        ("workload.widths = [true, 32]", r"workload\.widths: must be whole.*, got \[True, 32\]"),
        ('workload.widths = ["32", 32]', r"workload\.widths: must be whole.*, got \['32', 32\]"),
        ('workload = {objective = "a:b", dataset = "digits"}', r"workload: key 'dataset' is "
         r"unknown \(choose from chance, direction, epochs, metric, objective, options, "
          r"scored_on\)"),
        ('workload = {objective = "a.b"}', r"workload\.objective: must name a function as "
         r"package\.module:function, got 'a\.b'"),
        ('workload = {epochs = 3, real_epochs = 2}' "\n"
         'arms = [{name = "new", space = "filter", pruner = "asha"}]', r"arms: the pruner of "
         r"'new' would judge trials by scores that their weights had while they were real, in the "
         r"first 2 epochs \(workload\.real_epochs\); use the pruner .none."),
        ('workload = {objective = "a:b", epochs = 0}', r"workload\.epochs: must be >= 1, got 0"),
        ('workload = {objective = "a:b", epochs = "x"}', r"workload\.epochs: must be of type int, "
         r"got 'x'"),
        ('workload = {objective = "a:b", options = 3}', r"workload\.options: must be a table"),
        ('workload = {objective = "a:b", options = {x = [1]}}', r"workload\.options\.x: must be a "
         r"number, a text, true or false, got \[1\]"),
        ('workload = {objective = "a:b", chance = 1.5}', r"workload\.chance: must be in \[0, 1\), "
         r"got 1\.5"),
        ('arms = [{name = "new", space = {parameters.alpha = {low = 0.1, high = 0.2}}}]',
         r"arms: the space of 'new' needs an update rule, such as rule = .filter_flip. \(there "),
        ("arms = 3", r"arms: must be a list, got 3"),
        ("arms = []", r"arms: must have at least 1 item, got \[\]"),
        ('arms = ["new"]', rf"arms\.0: {A_TABLE} 'new'"),
        ('arms = [{name = "new", space = 3}]', r"arms\.0\.space: must be the name of a search "
         "space, or a table, got 3"),
        (in_space("fixed = 3"), rf"arms\.0\.space\.fixed: {A_TABLE} 3"),
        (in_space("fixed.gamma = [1]"), r"arms\.0\.space\.fixed\.gamma: must be a number, a text, "
         r"true or false, got \[1\]"),
        (in_space("fixed.gamma = nan"), r"arms\.0\.space\.fixed\.gamma: must be finite, got nan"),
        (in_space("parameters = 3"), rf"arms\.0\.space\.parameters: {A_TABLE} 3"),
        (in_space("parameters = {}"), r"arms\.0\.space\.parameters: must have at least 1 item"),
        (in_space("parameters.alpha = 3"), rf"arms\.0\.space\.parameters\.alpha: {A_TABLE} 3"),
        (in_space("parameters.alpha = {choices = 3}"), r"arms\.0\.space\.parameters\.alpha\."
         "choices: must be a list, got 3"),
        (in_space("parameters.alpha = {choices = [[1]]}"), r"arms\.0\.space\.parameters\.alpha\."
         r"choices\.0: must be a number, a text, true or false, got \[1\]"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_refused_in_the_words_of_declarations(
    change: str, words: str
):
    declared = SMALL | tomllib.loads(change)
    with pytest.raises(InvalidInput, match=f"^mine: {words}") as refusal:
        parse(ComparisonSpec, declared, "mine")
    told = str(refusal.value).lower()
    assert not re.search(r"\b(tuple|dict|instance|model|validation|bool|str)", told)
